import { setTimeout as sleep } from 'node:timers/promises';
import { type DebugSession, isTerminal, type RecordingStatus } from '../api/debug-session.ts';
import { Backoff } from '../base/backoff.ts';
import { CrashcartError, describe, reasons } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { AgentLink } from '../gateway/agent-link.ts';
import type { Agents, AgentsChange } from '../gateway/agents.ts';
import { type RecordingStore, recordingKey } from '../gateway/recordings/store.ts';
import type { StoredRecording } from '../wire/agent-protocol.ts';
import { nodeLocation } from './status.ts';

export interface RecordingCollectorOptions {
  readonly agents: Agents;
  readonly sessions: { byUid(uid: string): DebugSession | undefined };
  /** Left out: recordings stay on their nodes. */
  readonly store?: RecordingStore;
  /** Writes it into the session's status, some time. */
  readonly onRecorded: (session: DebugSession, status: RecordingStatus) => void;
  readonly log: Logger;
  readonly collected?: (outcome: 'stored' | 'failed') => void;
}

/** Nodes that are worked on at the same time; one recording of each on the way. */
const parallelNodes = 4;
/** All nodes are asked again this often, whatever was missed. */
const resyncMs = 10 * 60_000;
/** For the status to be written before the node's copy goes. */
const settleMs = 2_000;
const retry = { initialMs: 2_000, maxMs: 5 * 60_000 } as const;

/**
 * Fetches finished recordings from the nodes and stores them; what a node still has is what is still to be done, so a new leader goes on where
 * the last one stopped. The node's copy is deleted only when the store has confirmed it and the session's status, if there still is a session,
 * says where it is.
 */
export class RecordingCollector {
  readonly #options: RecordingCollectorOptions;
  readonly #waiting = new Set<string>();
  readonly #running = new Set<string>();
  readonly #again = new Map<string, NodeJS.Timeout>();
  readonly #backoffs = new Map<string, Backoff>();
  #signal: AbortSignal = AbortSignal.abort();

  constructor(options: RecordingCollectorOptions) {
    this.#options = options;
  }

  /** Until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { agents } = this.#options;
    this.#signal = signal;
    const stop = agents.onChange((change) => this.#changed(change));
    try {
      while (!signal.aborted) {
        for (const node of agents.nodes()) this.#want(node);
        await sleep(resyncMs, undefined, { signal }).catch(() => {});
      }
    } finally {
      stop();
      this.#waiting.clear();
      for (const timer of this.#again.values()) clearTimeout(timer);
      this.#again.clear();
    }
  }

  #changed({ type, node, event }: AgentsChange): void {
    if (type !== 'event' || event === undefined) return;
    const finished = event.type === 'changed' && event.session.recording?.sha256 !== undefined;
    if (event.type === 'list' || finished) this.#want(node);
  }

  #want(node: string): void {
    if (this.#signal.aborted) return;
    this.#waiting.add(node);
    for (const next of this.#waiting) {
      if (this.#running.size >= parallelNodes) return;
      if (this.#running.has(next)) continue;
      this.#waiting.delete(next);
      this.#running.add(next);
      void this.#collect(next).finally(() => {
        this.#running.delete(next);
        const [one] = this.#waiting;
        if (one !== undefined) this.#want(one);
      });
    }
  }

  /** Never rejects. */
  async #collect(node: string): Promise<void> {
    const { agents, log } = this.#options;
    const link = agents.get(node);
    if (link === undefined) return;
    try {
      const open = await this.#takeAll(link);
      this.#backoffs.delete(node);
      if (open) this.#later(node, settleMs);
    } catch (caught) {
      this.#options.collected?.('failed');
      log.warn('recordings were not collected', { node, error: describe(caught) });
      const backoff = this.#backoffs.get(node) ?? new Backoff(retry);
      this.#backoffs.set(node, backoff);
      this.#later(node, backoff.nextMs());
    }
  }

  /** True: some wait for their status. One that cannot be taken does not keep the others. @throws AggregateError of those that could not */
  async #takeAll(link: AgentLink): Promise<boolean> {
    const errors: unknown[] = [];
    let open = false;
    for (const recording of await link.recordings()) {
      if (this.#signal.aborted) return false;
      try {
        open = !(await this.#take(link, recording)) || open;
      } catch (caught) {
        errors.push(caught);
      }
    }
    if (errors.length > 0)
      throw new AggregateError(
        errors,
        errors
          .map((each) => describe(each))
          .slice(0, 3)
          .join('; '),
      );
    return open;
  }

  #later(node: string, ms: number): void {
    clearTimeout(this.#again.get(node));
    if (this.#signal.aborted) return;
    this.#again.set(
      node,
      setTimeout(() => this.#want(node), ms),
    );
  }

  /** True: nothing is left to do for it. */
  async #take(link: AgentLink, recording: StoredRecording): Promise<boolean> {
    const { store, sessions, onRecorded, log, collected } = this.#options;
    const { node } = link;
    const session = sessions.byUid(recording.uid);
    // Its status is about to be written.
    if (session && session.status?.nodeName === undefined && !isTerminal(session.status?.phase)) return false;
    if (session && session.status?.nodeName !== node) {
      log.warn('a node has a recording of a session that is not its own', { node, uid: recording.uid });
      return true;
    }
    const key = recordingKey(node, recording);
    const location = store ? store.locationOf(key) : nodeLocation(node);
    if (session && session.status?.recording?.location === location && session.status.recording.sha256 !== undefined) {
      return store ? this.#release(link, recording) : true;
    }
    if (store) {
      await store.put(key, recording, async () => await bytesOf(link, recording));
      collected?.('stored');
      log.info('recording stored', { node, uid: recording.uid, location, bytes: recording.bytes });
    }
    if (session === undefined) return store ? this.#release(link, recording) : true;
    onRecorded(session, statusOf(session, recording, location));
    return store === undefined;
  }

  async #release(link: AgentLink, { uid, sha256 }: StoredRecording): Promise<boolean> {
    await link.removeRecording(uid, sha256);
    return true;
  }
}

async function bytesOf(link: AgentLink, { uid, bytes: expected }: StoredRecording) {
  const { length, bytes } = await link.recording(uid, { from: 0, limit: expected });
  if (length === expected && bytes) return bytes;
  bytes?.destroy();
  throw new CrashcartError(reasons.Invalid, `the node gave a recording of ${length} bytes, not of ${expected}`);
}

function statusOf(
  session: DebugSession,
  { bytes, sha256, complete }: StoredRecording,
  location: string,
): RecordingStatus {
  const message = session.status?.recording?.message;
  if (complete) return { state: 'Complete', location, bytes, sha256 };
  return { state: 'Incomplete', location, bytes, sha256, message: message ?? 'it stopped before the session did' };
}
