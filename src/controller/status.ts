import type {
  Condition,
  ConditionType,
  DebugSession,
  DebugSessionStatus,
  Phase,
  RecordingStatus,
} from '../api/debug-session.ts';
import { conditionTypes } from '../api/debug-session.ts';
import { parseDuration, writeDuration } from '../base/duration.ts';
import type { ObservedRecording, ObservedSession } from '../wire/agent-protocol.ts';
import type { Failure, ResolvedTarget } from './target.ts';

type Mutable<T> = { -readonly [P in keyof T]: T[P] };
type Verdict = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/**
 * Writes the next status of a session from its last one: what is not mentioned stays. `lastTransitionTime` of a condition
 * moves only when its `status` does.
 */
export class StatusBuilder {
  readonly #session: DebugSession;
  readonly #time: string;
  readonly #status: Mutable<DebugSessionStatus>;
  readonly #conditions: Map<ConditionType, Condition>;

  constructor(session: DebugSession, nowMs: number) {
    const { metadata, status } = session;
    this.#session = session;
    // Whole seconds, as every other time in the API.
    this.#time = `${new Date(nowMs).toISOString().slice(0, 19)}Z`;
    this.#status = {
      ...status,
      observedGeneration: metadata.generation,
      attach: `kubectl crashcart attach ${metadata.name} -n ${metadata.namespace}`,
    };
    this.#conditions = new Map(status?.conditions?.map((each) => [each.type, each]));
  }

  phase(phase: Phase): this {
    this.#status.phase = phase;
    return this;
  }

  condition(verdict: Verdict): this {
    const last = this.#conditions.get(verdict.type);
    this.#conditions.set(verdict.type, {
      ...verdict,
      observedGeneration: this.#session.metadata.generation,
      lastTransitionTime: last?.status === verdict.status ? last.lastTransitionTime : this.#time,
    });
    return this;
  }

  resolved(target: ResolvedTarget): this {
    this.#status.nodeName = target.node;
    this.#status.podUID = target.podUid;
    this.#status.container = target.container;
    this.#status.containerID = target.containerId;
    return this.condition({
      type: 'TargetResolved',
      status: 'True',
      reason: 'Resolved',
      message: `container "${target.container}" on node "${target.node}"`,
    });
  }

  /** By which version of its profile it was started, and what of the spec counts in the end. */
  ruledBy(
    profileGeneration: number,
    effective: Required<Pick<DebugSessionStatus, 'maxDuration' | 'idleTimeout' | 'detachGrace'>>,
  ): this {
    this.#status.profileGeneration = profileGeneration;
    this.#status.maxDuration = effective.maxDuration;
    this.#status.idleTimeout = effective.idleTimeout;
    this.#status.detachGrace = effective.detachGrace;
    return this;
  }

  /** By the node's agent; nobody is once it has ended. */
  attached(clients: ObservedSession['clients']): this {
    if (clients === undefined || clients.length === 0) delete this.#status.attached;
    else this.#status.attached = clients;
    return this;
  }

  /** What the agent counts by, once it is more than what was written when the session began. */
  lasting(maxDurationMs: number | undefined): this {
    const { maxDuration } = this.#status;
    if (maxDurationMs === undefined || maxDuration === undefined || this.#status.phase !== 'Running') return this;
    if (maxDurationMs > (parseDuration(maxDuration) ?? 0)) this.#status.maxDuration = writeDuration(maxDurationMs);
    return this;
  }

  notReady(reason: string, message: string, status: 'False' | 'Unknown' = 'False'): this {
    return this.condition({ type: 'Ready', status, reason, message });
  }

  /** Never ran, or nobody knows how it ended. */
  failed({ reason, message }: Failure): this {
    this.#status.finishedAt ??= this.#time;
    return this.attached(undefined).phase('Failed').notReady(reason, message);
  }

  /** Nothing was ever told to an agent, so there is nothing to clean up. */
  nothingStarted(): this {
    return this.condition({
      type: 'CleanedUp',
      status: 'True',
      reason: 'NothingStarted',
      message: 'nothing was started on a node',
    });
  }

  /** It ran on an agent that started anew since: an agent begins by sweeping. */
  swept(): this {
    return this.condition({
      type: 'CleanedUp',
      status: 'True',
      reason: 'Swept',
      message: 'the agent has removed what was left of earlier sessions',
    });
  }

  cleanupUnknown(): this {
    return this.condition({
      type: 'CleanedUp',
      status: 'Unknown',
      reason: 'AgentLost',
      message: 'the agent that could tell is not connected',
    });
  }

  /** What the agent says. */
  observed(observed: ObservedSession): this {
    if (observed.startedAt) this.#status.startedAt ??= observed.startedAt;
    if (observed.phase === 'Preparing') this.preparing();
    else if (observed.phase === 'Running') this.#running();
    else if (observed.phase === 'Failed') this.failed(observed.failure ?? unexplained);
    else this.#finished(observed);
    if (observed.phase === 'Finished' || observed.phase === 'Failed') this.cleanedUp(observed);
    return this;
  }

  /** `known` comes from the node's list of recordings or from the store; what the session's own agent says counts until then. */
  recorded(observed: ObservedRecording | undefined, known: RecordingStatus | undefined): this {
    const { recording, nodeName } = this.#status;
    if (known) this.#status.recording = known;
    else if (observed && (recording === undefined || recording.location === nodeLocation(nodeName))) {
      this.#status.recording = { ...observed, location: nodeLocation(nodeName) };
    }
    return this;
  }

  preparing(): this {
    return this.phase('Preparing').notReady('Preparing', 'the node is preparing the session');
  }

  cleanedUp({ cleanedUp, leftovers }: ObservedSession): this {
    if (cleanedUp) {
      return this.condition({
        type: 'CleanedUp',
        status: 'True',
        reason: 'Proven',
        message: 'nothing is left on the node',
      });
    }
    return this.condition({
      type: 'CleanedUp',
      status: 'False',
      reason: leftovers ? 'Leftovers' : 'InProgress',
      message: leftovers
        ? `the node could not remove ${leftovers}: see the log of its agent`
        : 'the node is cleaning up',
    });
  }

  build(): DebugSessionStatus {
    const conditions = conditionTypes.flatMap((type) => this.#conditions.get(type) ?? []);
    return { ...this.#status, conditions };
  }

  #running(): void {
    this.phase('Running').condition({
      type: 'Ready',
      status: 'True',
      reason: 'Running',
      message: `open it with "${this.#status.attach}"`,
    });
  }

  #finished({ exit }: ObservedSession): void {
    if (exit) {
      this.#status.exit = exit;
      this.#status.finishedAt ??= exit.at;
    }
    this.#status.finishedAt ??= this.#time;
    const code = exit ? ` with code ${exit.code}` : '';
    this.phase('Finished').notReady(
      exit?.reason ?? 'Completed',
      `the session has ended${code}${endWords[exit?.reason ?? ''] ?? ''}`,
    );
  }
}

export const nodeLocation = (node: string | undefined): string => `node:${node ?? ''}`;

const unexplained: Failure = {
  reason: 'Internal',
  message: 'the agent gave no reason: see its log',
};

const endWords: Readonly<Record<string, string>> = {
  MaxDurationExceeded: ': it reached spec.maxDuration, create a new one to go on',
  IdleTimeout: ': nobody used it for spec.idleTimeout, create a new one to go on',
  DetachGraceExceeded: ': nobody was attached to it for spec.detachGrace, create a new one to go on',
  ContainerExited: ': its container has stopped',
  Killed: ': it was killed',
  Deleted: ': it was deleted',
  RecordingFailed: ': it could no longer be recorded, which its profile demands; status.recording says why',
};
