import type { DebugProfile } from '../api/debug-profile.ts';
import type { DebugSession, DebugSessionStatus, RecordingStatus } from '../api/debug-session.ts';
import type { Reason } from '../base/errors.ts';
import type { DesiredSession, ObservedSession } from '../wire/agent-protocol.ts';
import type { Pod } from './pod.ts';
import type { PolicyVerdict } from './policies.ts';
import type { Failure } from './target.ts';

export type AgentState =
  /** `sessions`: its first full list has arrived, so that a session that is not in it is not on the node. */
  | { readonly connected: true; readonly sessions: 'listed' | 'unknown' }
  /** `absentMs` counts from the loss of its connection, or from the start of this controller. */
  | { readonly connected: false; readonly absentMs: number };

export interface Situation {
  /** Its status with what was handed over since it was written, and with the node whose agent shows that it has it. */
  readonly session: DebugSession;
  /** `unknown`: it was not asked for. Read whenever `needsPod` says so. */
  readonly pod: Pod | 'absent' | 'unknown';
  /** The Node object; asked for only when a deletion, or a session that runs, waits for an agent that is not there. */
  readonly node: 'present' | 'absent' | 'unknown';
  /** Of the agent of `status.nodeName`, or of the pod's node. */
  readonly agent: AgentState;
  readonly observed: ObservedSession | undefined;
  /** How long `observed.clients` are those that they are now. */
  readonly companyForMs: number;
  /** This controller has handed it to an agent, which accepted. */
  readonly dispatched: boolean;
  /**
   * It was there when this controller began to lead, a moment ago: the one before may have handed it over and not written it down, and
   * the agent that has it may still be on its way to us.
   */
  readonly inherited: boolean;
  /** The Event of its start on its pod is this controller's. */
  readonly podTold: boolean;
  /** The agent refused it for good. */
  readonly refusal?: Failure;
  readonly profile: DebugProfile | 'absent';
  /** Of the admission policies, without which nothing is started. */
  readonly policies: PolicyVerdict;
  /** How long a session that runs waits for its agent. */
  readonly agentLossMs: number;
  /** From the collector of recordings. */
  readonly recorded?: RecordingStatus;
  readonly nowMs: number;
}

export interface EventAction {
  readonly type: 'event';
  /** Names the other one as related, in any case. */
  readonly about: 'session' | 'pod' | 'session-and-pod';
  readonly level: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

export type Action =
  | { readonly type: 'addFinalizer' }
  | { readonly type: 'removeFinalizer' }
  | { readonly type: 'dispatch'; readonly node: string; readonly desired: DesiredSession }
  /** `dispatch` for a session that the agent has already: what it refuses does not fail the session, and is not told. */
  | { readonly type: 'extend'; readonly node: string; readonly desired: DesiredSession; readonly told: EventAction }
  | { readonly type: 'removeFromAgent'; readonly node: string; readonly reason: Reason }
  | { readonly type: 'patchStatus'; readonly status: DebugSessionStatus }
  | { readonly type: 'deleteObject' }
  | EventAction
  | { readonly type: 'requeueAfter'; readonly ms: number };

/** Clients that come and go are written down when they stay, or with whatever else is written: a short visit costs no write of its own. */
export const companySettlesMs = 10_000;
/** A policy that is being replaced is back within this. */
export const policyWaitMs = 60_000;
/** A profile that was made just before the session may reach us just after it. */
export const profileWaitMs = 5_000;
/** An agent needs about 5 s to find a new replica of ours; a new node's a little longer to start. */
export const agentWaitMs = 20_000;
/** A new leader's agents need a moment to find it: until then their sessions are not called into question. */
export const agentGraceMs = 10_000;
/** Longer than an agent's restart: a deletion waits for no agent longer, nor does a session that was only being prepared, or whose node is gone. */
export const agentAwayMs = 60_000;
/**
 * Of a session that runs, on a node that is there: it goes on without an agent, and an update of the agents may keep one away for as long as an image
 * takes to be pulled. The default of the chart's `agent.lostAfter`.
 */
export const agentLossMs = 5 * 60_000;
