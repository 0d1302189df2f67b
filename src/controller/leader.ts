import { setTimeout as sleep } from 'node:timers/promises';
import type { DebugSession } from '../api/debug-session.ts';
import { CrashcartError, describe } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Agents, AgentsChange } from '../gateway/agents.ts';
import type { ProfileCache } from '../kube/profile-cache.ts';
import { type SessionCache, sessionKey } from '../kube/session-cache.ts';
import type { ControllerMetrics } from './metrics.ts';
import type { Orphans } from './orphans.ts';
import type { PolicyGuard } from './policy-guard.ts';
import { type Outcome, WorkQueue } from './queue.ts';
import type { Reconciler } from './reconciler.ts';

export interface LeaderOptions {
  readonly sessions: SessionCache;
  readonly agents: Agents;
  readonly reconciler: Reconciler;
  readonly orphans: Orphans;
  readonly profiles: Pick<ProfileCache, 'onChange' | 'synced'>;
  readonly policies: Pick<PolicyGuard, 'onChange'>;
  readonly metrics: Pick<ControllerMetrics, 'reconciled'>;
  readonly log: Logger;
}

/** Everything is looked at again this often, whatever was missed. */
const resyncMs = 300_000;
const orphanSweepMs = 30_000;
/** What is in hand at the end of a term may finish within this. */
const stopMs = 5_000;

/** What only the leader does: turns every change of an object or of an agent into a turn of the reconciler. */
export class Leader {
  readonly #options: LeaderOptions;
  readonly #queue: WorkQueue;

  constructor(options: LeaderOptions) {
    this.#options = options;
    this.#queue = new WorkQueue({
      handle: (key) => this.#handle(key),
      onError: (key, caught) => {
        // A refusal of the API server or of an agent is everyday business; anything else is an error of ours.
        const level = caught instanceof CrashcartError ? 'warn' : 'error';
        options.log[level]('reconcile failed, trying again', { session: key, error: describe(caught) });
      },
    });
  }

  get queueDepth(): number {
    return this.#queue.depth;
  }

  /** Gives a session a turn although neither it nor its agent has said anything. */
  look({ metadata }: DebugSession): void {
    this.#queue.add(sessionKey(metadata.namespace, metadata.name));
  }

  async run(signal: AbortSignal): Promise<void> {
    const { sessions, agents, reconciler, orphans, profiles, policies } = this.#options;
    await Promise.race([sessions.synced, aborted(signal)]);
    for (const session of sessions.values()) reconciler.inherit(session);
    const stops = [
      sessions.onChange((change) => {
        if (change.type === 'deleted') reconciler.forget(change.object);
        else this.#queue.add(change.key);
      }),
      agents.onChange((change) => this.#agentChanged(change)),
      // Sessions may be waiting for either.
      profiles.onChange(() => this.#addWaiting()),
      policies.onChange(() => this.#addWaiting()),
    ];
    const resync = setInterval(() => this.#addAll(), resyncMs);
    try {
      this.#addAll();
      while (!signal.aborted) {
        await orphans.sweep();
        await sleep(orphanSweepMs, undefined, { signal }).catch(() => {});
      }
    } finally {
      clearInterval(resync);
      for (const stop of stops) stop();
      await Promise.race([this.#queue.stop(), sleep(stopMs, undefined, { ref: false })]);
    }
  }

  async #handle(key: string): Promise<Outcome> {
    const { sessions, reconciler, metrics } = this.#options;
    const [namespace = '', name = ''] = key.split('/');
    const session = sessions.get(namespace, name);
    if (!session) return {};
    const startedAt = performance.now();
    let outcome: 'done' | 'error' = 'error';
    try {
      const result = await reconciler.reconcile(session);
      outcome = 'done';
      return result;
    } finally {
      metrics.reconciled((performance.now() - startedAt) / 1_000, outcome);
      // It went while it was worked on, so its "deleted" came too early.
      if (!sessions.byUid(session.metadata.uid)) reconciler.forget(session);
    }
  }

  #addWaiting(): void {
    for (const { metadata, status } of this.#options.sessions.values()) {
      if ((status?.phase ?? 'Pending') === 'Pending') this.#queue.add(sessionKey(metadata.namespace, metadata.name));
    }
  }

  #addAll(node?: string): void {
    for (const { metadata, status } of this.#options.sessions.values()) {
      // A session without a node yet may be waiting for just this agent.
      if (node !== undefined && status?.nodeName !== undefined && status.nodeName !== node) continue;
      this.#queue.add(sessionKey(metadata.namespace, metadata.name));
    }
  }

  #agentChanged({ type, node, event }: AgentsChange): void {
    if (type !== 'event') {
      this.#addAll(node);
    } else if (event?.type === 'list') {
      this.#addAll(node);
      void this.#options.orphans.sweep([node]);
    } else if (event?.type === 'forgotten') {
      this.#options.reconciler.forgotten(event.uid, node);
    } else if (event) {
      // By our own copy: an agent could name any session, or a million that do not exist.
      const session = this.#options.sessions.byUid(event.session.uid);
      if (session) this.#queue.add(sessionKey(session.metadata.namespace, session.metadata.name));
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  signal.addEventListener('abort', () => resolve(), { once: true });
  return promise;
}
