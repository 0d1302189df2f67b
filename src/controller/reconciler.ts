import { isDeepStrictEqual } from 'node:util';
import type { DebugSession, RecordingStatus } from '../api/debug-session.ts';
import { apiVersion, auditIdAnnotation, kind } from '../api/names.ts';
import { CrashcartError, describe, type Reason, reasons } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { AgentLink } from '../gateway/agent-link.ts';
import type { Agents } from '../gateway/agents.ts';
import type { Placements } from '../gateway/placements.ts';
import type { EventRecorder } from '../kube/events.ts';
import type { ProfileCache } from '../kube/profile-cache.ts';
import type { DesiredSession, ObservedSession } from '../wire/agent-protocol.ts';
import type { Cluster } from './cluster.ts';
import { companyForMs, Memory, type Remembered } from './memory.ts';
import type { ControllerMetrics } from './metrics.ts';
import { needsPod, plan } from './plan.ts';
import type { PolicyGuard } from './policy-guard.ts';
import type { Presence } from './presence.ts';
import type { Outcome } from './queue.ts';
import { isPassing, mostSettleMs, settleMs } from './settle.ts';
import { type Action, type AgentState, agentAwayMs, agentLossMs, type Situation } from './situation.ts';

export interface ReconcilerOptions {
  readonly cluster: Cluster;
  readonly agents: Pick<Agents, 'get'>;
  readonly placements: Pick<Placements, 'seal' | 'nodeOf'>;
  readonly presence: Pick<Presence, 'absentMs'>;
  readonly events: EventRecorder;
  readonly profiles: Pick<ProfileCache, 'get'>;
  readonly policies: Pick<PolicyGuard, 'verdict'>;
  readonly metrics: Pick<ControllerMetrics, 'dispatched' | 'started'>;
  readonly log: Logger;
  readonly memory?: Memory;
  readonly agentLossMs?: number;
  /** Milliseconds since the epoch. */
  readonly wallClock?: () => number;
  /** Monotonic milliseconds. */
  readonly clock?: () => number;
}

/** Refusals that say nothing about the session: the next try may succeed. */
const transient: ReadonlySet<Reason> = new Set<Reason>([
  reasons.AgentLost,
  reasons.Unavailable,
  reasons.Timeout,
  reasons.RuntimeUnavailable,
  reasons.Internal,
]);

/** Adding the finalizer, then starting: a plan that still wants more after that waits for the next turn. */
const maxRounds = 3;

/** Carries out what `plan` says for one session. */
export class Reconciler {
  readonly #options: Required<ReconcilerOptions>;

  constructor(options: ReconcilerOptions) {
    this.#options = {
      memory: new Memory(),
      wallClock: Date.now,
      clock: () => performance.now(),
      agentLossMs,
      ...options,
    };
  }

  async reconcile(cached: DebugSession): Promise<Outcome> {
    let session: DebugSession | undefined = cached;
    for (let round = 0; round < maxRounds && session; round++) {
      const actions = plan(await this.#situation(session));
      if (!actions.some((action) => action.type === 'addFinalizer')) return await this.#carryOut(session, actions);
      session = await this.#options.cluster.addFinalizer(session);
    }
    return {};
  }

  /** The agent of `node` has let go of its own record, if it was its. What it said of an end stays true. */
  forgotten(uid: string, node: string): void {
    const dispatched = this.#options.memory.peek(uid)?.dispatched;
    if (dispatched?.node !== node) return;
    const phase = dispatched.answer?.phase;
    if (phase === 'Preparing' || phase === 'Running') delete dispatched.answer;
  }

  /** The collector of recordings has found or stored the session's: the next turn writes it into the status. */
  recorded(uid: string, status: RecordingStatus): void {
    this.#options.memory.of(uid).recorded = status;
  }

  /** This controller has just become the leader, and the session is older than that. */
  inherit({ metadata }: DebugSession): void {
    this.#options.memory.of(metadata.uid).inheritedAtMs = this.#options.clock();
  }

  /** The object is gone from the API server. */
  forget(session: DebugSession): void {
    this.#options.memory.forget(session.metadata.uid);
  }

  async #situation(cached: DebugSession): Promise<Situation> {
    const { cluster, agents, memory, profiles, policies, wallClock, clock, agentLossMs: lossMs } = this.#options;
    const remembered = memory.of(cached.metadata.uid);
    const session = this.#known(cached, remembered);
    const { namespace } = session.metadata;
    const knownNode = session.status?.nodeName ?? remembered.dispatched?.node;
    const observed = observedBy(agents.get(knownNode ?? ''), session, remembered);
    this.#countStart(observed, remembered);
    const pod = needsPod(session, observed) ? await cluster.pod(namespace, session.spec.target.pod.name) : 'unknown';
    const node = knownNode ?? (typeof pod === 'object' ? pod.nodeName : undefined);
    const agent = this.#agentState(node);
    const orphaned = node !== undefined && !agent.connected && mayBeGone(session, agent.absentMs);
    return {
      session,
      pod,
      node: orphaned ? await cluster.node(node) : 'unknown',
      agent,
      observed,
      companyForMs: companyForMs(remembered, observed, clock()),
      dispatched: remembered.dispatched !== undefined,
      inherited: clock() - (remembered.inheritedAtMs ?? -Infinity) < agentAwayMs,
      podTold: remembered.podTold ?? false,
      ...(remembered.refusal ? { refusal: remembered.refusal } : {}),
      agentLossMs: lossMs,
      ...(remembered.recorded ? { recorded: remembered.recorded } : {}),
      profile: profiles.get(session.spec.profile) ?? 'absent',
      policies: policies.verdict,
      nowMs: wallClock(),
    };
  }

  /** Nobody else writes the status, so what we wrote last, or are about to, is newer than what the watch has brought. */
  #known(cached: DebugSession, { handedOver, status: written, dispatched }: Remembered): DebugSession {
    const status = handedOver ?? written ?? cached.status;
    const isPlaced = status?.nodeName !== undefined || dispatched !== undefined;
    // A leader before us may have died between its order and the status.
    const nodeName = isPlaced ? undefined : this.#options.placements.nodeOf(cached.metadata.uid);
    if (nodeName !== undefined) return { ...cached, status: { ...status, nodeName } };
    return status ? { ...cached, status } : cached;
  }

  /** Only what this leader has seen from its beginning says how long a start takes. */
  #countStart(observed: ObservedSession | undefined, remembered: Remembered): void {
    if (remembered.started || !observed?.startedAt || !remembered.dispatched) return;
    remembered.started = true;
    this.#options.metrics.started((performance.now() - remembered.seenAtMs) / 1_000);
  }

  #agentState(node: string | undefined): AgentState {
    const link = node === undefined ? undefined : this.#options.agents.get(node);
    if (link) return { connected: true, sessions: link.sessions() ? 'listed' : 'unknown' };
    return { connected: false, absentMs: node === undefined ? 0 : this.#options.presence.absentMs(node) };
  }

  async #carryOut(session: DebugSession, planned: readonly Action[]): Promise<Outcome> {
    const actions = this.#withoutPassing(session, this.#withHandedOver(session, planned));
    // Side by side, in their order: a status is never waited for before an agent is told. Only an object that
    // goes must go last, after its agent has answered.
    const isLast = ({ type }: Action): boolean => type === 'removeFinalizer' || type === 'deleteObject';
    const outcomes = await Promise.allSettled(
      actions.filter((action) => !isLast(action)).map((action) => this.#act(session, action)),
    );
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    for (const action of actions.filter(isLast)) await this.#act(session, action);
    const requeues = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? (outcome.value ?? []) : []));
    return requeues.length > 0 ? { requeueAfterMs: Math.min(...requeues) } : {};
  }

  /** What was handed over is written, whether the turn has more to say or not. */
  #withHandedOver({ metadata }: DebugSession, planned: readonly Action[]): readonly Action[] {
    const { handedOver } = this.#options.memory.of(metadata.uid);
    if (!handedOver || metadata.deletionTimestamp || planned.some(({ type }) => type === 'patchStatus')) return planned;
    return [{ type: 'patchStatus', status: handedOver }, ...planned];
  }

  /**
   * A step on the way waits for a moment, and the Event of a start or an end with it: the next turn sees it again, or what came of it. Only that it
   * was handed over is not seen again, and is kept in mind.
   */
  #withoutPassing(session: DebugSession, actions: readonly Action[]): readonly Action[] {
    const { memory, clock } = this.#options;
    const remembered = memory.of(session.metadata.uid);
    const status = actions.find((action) => action.type === 'patchStatus')?.status;
    if (status === undefined || !isPassing(remembered.status ?? session.status, status)) {
      delete remembered.passing;
      return actions;
    }
    const { phase } = status;
    const { passing } = remembered;
    const now = clock();
    const waits =
      passing?.phase === phase && passing ? passing : { phase, sinceMs: now, firstMs: passing?.firstMs ?? now };
    remembered.passing = waits;
    const isHandedOver = phase === 'Preparing';
    if (isHandedOver) remembered.handedOver = status;
    const ms = Math.min(waits.sinceMs + settleMs, waits.firstMs + mostSettleMs) - now;
    if (ms <= 0) return actions;
    const rest = actions.filter(({ type }) => type !== 'patchStatus' && (type !== 'event' || isHandedOver));
    return [...rest, { type: 'requeueAfter', ms }];
  }

  /** Resolves with the milliseconds after which to look again, if any. */
  async #act(session: DebugSession, action: Action): Promise<number | undefined> {
    const { cluster } = this.#options;
    switch (action.type) {
      case 'dispatch':
        return await this.#dispatch(session, action.node, action.desired);
      case 'extend':
        return await this.#extend(session, action);
      case 'removeFromAgent':
        return await this.#remove(session, action.node, action.reason);
      case 'patchStatus':
        return await this.#patchStatus(session, action);
      case 'event':
        this.#recordEvent(session, action);
        return undefined;
      case 'removeFinalizer':
        if (await cluster.removeFinalizer(session)) this.#logger(session).info('session released');
        return undefined;
      case 'deleteObject':
        await cluster.deleteSession(session);
        return undefined;
      case 'requeueAfter':
        return action.ms;
      case 'addFinalizer':
        return undefined;
    }
  }

  async #dispatch(session: DebugSession, node: string, desired: DesiredSession): Promise<number | undefined> {
    const { agents, memory, metrics } = this.#options;
    const remembered = memory.of(session.metadata.uid);
    const log = this.#logger(session).child({ node });
    const link = agents.get(node);
    if (!link) return 0;
    const auditId = auditIdOf(session);
    const startedAt = performance.now();
    const placement = this.#options.placements.seal(desired.uid, node);
    // An agent that is slow to answer keeps from nobody where the session is.
    let writing: Promise<void> | undefined;
    const slow = setTimeout(() => {
      writing = this.#writeHandedOver(session);
    }, settleMs);
    try {
      const answer = await link.put({ ...desired, ...(placement === undefined ? {} : { placement }) }, auditId);
      remembered.dispatched = { node, link, answer };
      metrics.dispatched((performance.now() - startedAt) / 1_000, 'accepted');
      const { profile, reason, requestedBy } = session.spec;
      const by = { user: requestedBy?.username, profile, why: reason, auditId };
      log.info('session dispatched', { container: desired.container.name, podUid: desired.pod.uid, ...by });
      return undefined;
    } catch (caught) {
      const error = CrashcartError.from(caught);
      metrics.dispatched((performance.now() - startedAt) / 1_000, error.reason);
      log.warn('session not dispatched', { reason: error.reason, error: describe(error) });
      if (transient.has(error.reason)) throw error;
      remembered.refusal = { reason: error.reason, message: error.message };
      return 0;
    } finally {
      clearTimeout(slow);
      await writing;
    }
  }

  /** Never rejects: the next turn tries again. */
  async #writeHandedOver(session: DebugSession): Promise<void> {
    const status = this.#options.memory.of(session.metadata.uid).handedOver;
    if (!status) return;
    try {
      await this.#patchStatus(session, { type: 'patchStatus', status });
    } catch (caught) {
      this.#logger(session).warn('status not written', { phase: status.phase, error: describe(caught) });
    }
  }

  async #extend(session: DebugSession, { node, desired, told }: Action & { type: 'extend' }): Promise<undefined> {
    const link = this.#options.agents.get(node);
    // It comes back with its list, and the list with another turn.
    if (!link) return;
    const log = this.#logger(session).child({ node, maxDurationMs: desired.maxDurationMs });
    try {
      const { maxDurationMs } = await link.put(desired);
      log.info('session extended', { accepted: maxDurationMs, by: session.spec.extendedBy?.username });
      // Once for each: that it is shorter at the agent is the agent's word, which it could give again and again.
      const remembered = this.#options.memory.of(session.metadata.uid);
      if (desired.maxDurationMs <= (remembered.extendedToMs ?? 0)) return;
      remembered.extendedToMs = desired.maxDurationMs;
      this.#recordEvent(session, told);
    } catch (caught) {
      const error = CrashcartError.from(caught);
      if (transient.has(error.reason)) throw error;
      log.warn('session not extended', { reason: error.reason, error: describe(error) });
    }
  }

  /** Resolves at once after the agent's answer: its event, or the next look, says whether the clean-up is proven. */
  async #remove(session: DebugSession, node: string, reason: Reason): Promise<number | undefined> {
    const link = this.#options.agents.get(node);
    if (!link) return undefined;
    const remembered = this.#options.memory.of(session.metadata.uid);
    try {
      const answer = await link.remove(session.metadata.uid, reason);
      remembered.dispatched = { node, link, answer };
      this.#logger(session).info('session removed from its agent', { node, reason, cleanedUp: answer.cleanedUp });
      return answer.cleanedUp ? 0 : undefined;
    } catch (caught) {
      if (!(caught instanceof CrashcartError) || caught.reason !== reasons.NotFound) throw caught;
      delete remembered.dispatched;
      return undefined;
    }
  }

  async #patchStatus(session: DebugSession, { status }: Action & { type: 'patchStatus' }): Promise<undefined> {
    const { cluster, memory } = this.#options;
    const remembered = memory.of(session.metadata.uid);
    const before = remembered.status ?? session.status;
    if (isDeepStrictEqual(before, status)) return undefined;
    remembered.status = status;
    try {
      await cluster.applyStatus(session, status);
    } catch (caught) {
      if (remembered.status === status) delete remembered.status;
      throw caught;
    }
    delete remembered.handedOver;
    if (before?.phase !== status.phase) {
      const ready = status.conditions?.find((each) => each.type === 'Ready');
      const fields = { phase: status.phase, reason: ready?.reason, node: status.nodeName };
      this.#logger(session).info('session changed', fields);
    }
    return undefined;
  }

  #recordEvent(session: DebugSession, { about, level, reason, message }: Action & { type: 'event' }): void {
    const { events, memory } = this.#options;
    const { namespace, name, uid } = session.metadata;
    const remembered = memory.of(uid);
    const text = { type: level, reason, message };
    const itself = { apiVersion, kind, namespace, name, uid };
    const podUid = (remembered.status ?? remembered.handedOver ?? session.status)?.podUID;
    const pod = podUid && { apiVersion: 'v1', kind: 'Pod', namespace, name: session.spec.target.pod.name, uid: podUid };
    if (about !== 'pod' || !pod) events.record(itself, text, pod || undefined);
    if (about === 'session' || !pod) return;
    events.record(pod, text, itself, () => {
      if (reason === 'DebugSessionStarted') remembered.podTold = true;
    });
  }

  #logger({ metadata, spec }: DebugSession): Logger {
    return this.#options.log.child({
      session: `${metadata.namespace}/${metadata.name}`,
      uid: metadata.uid,
      pod: spec.target.pod.name,
    });
  }
}

/** Whose agent is away for so long that it matters whether the node is there at all. */
const mayBeGone = ({ metadata, status }: DebugSession, absentMs: number): boolean =>
  metadata.deletionTimestamp !== undefined || (status?.phase === 'Running' && absentMs >= agentAwayMs);

const auditIdPattern = /^[\w-]{1,64}$/;

function auditIdOf({ metadata }: DebugSession): string | undefined {
  const id = metadata.annotations?.[auditIdAnnotation];
  return id !== undefined && auditIdPattern.test(id) ? id : undefined;
}

/** The stream of the agent first; what it answered to us while that stream has not said it yet. */
function observedBy(
  link: AgentLink | undefined,
  session: DebugSession,
  { dispatched }: Remembered,
): ObservedSession | undefined {
  const streamed = link?.sessions()?.get(session.metadata.uid);
  if (streamed) return streamed;
  return link && dispatched?.link === link ? dispatched.answer : undefined;
}
