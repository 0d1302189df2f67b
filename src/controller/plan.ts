/** What is to be done for one session, from what is known of it: no clock, no network, no memory of its own. */
import { isDeepStrictEqual } from 'node:util';
import { type DebugSession, type DebugSessionStatus, isTerminal } from '../api/debug-session.ts';
import { finalizer } from '../api/names.ts';
import { reasons } from '../base/errors.ts';
import type { ObservedSession } from '../wire/agent-protocol.ts';
import { desiredSession, effective, extendedSession } from './desired.ts';
import { ageMs, deleteAtMs, overdueAtMs } from './expiry.ts';
import { planDeletion } from './plan-deletion.ts';
import { profileRefusal } from './profile-check.ts';
import { earlyExtensionEvents, event, extensionEvent, transitionEvents } from './session-events.ts';
import {
  type Action,
  agentAwayMs,
  agentGraceMs,
  agentWaitMs,
  companySettlesMs,
  policyWaitMs,
  profileWaitMs,
  type Situation,
} from './situation.ts';
import { StatusBuilder } from './status.ts';
import { type Failure, type ResolvedTarget, resolveTarget } from './target.ts';

/** Whether a plan needs a live look at the pod: before anything is handed to an agent, or where that was done and not written down. */
export function needsPod({ metadata, status }: DebugSession, observed: ObservedSession | undefined): boolean {
  if (metadata.deletionTimestamp || isTerminal(status?.phase) || status?.phase === 'Running') return false;
  return !observed || status?.podUID === undefined;
}

export function plan(situation: Situation): readonly Action[] {
  const { session } = situation;
  if (session.metadata.deletionTimestamp) return planDeletion(situation);
  if (isTerminal(session.status?.phase)) return planEnded(situation);
  if (!session.metadata.finalizers?.includes(finalizer)) return [{ type: 'addFinalizer' }];
  if (situation.refusal) return fail(situation, situation.refusal);
  if (situation.observed) return planObserved(situation, situation.observed);
  return isHandedOver(situation) ? planUnseen(situation) : planStart(situation);
}

/**
 * Whether an agent may be running it. `Preparing` in the status is a promise of this controller or of one before it: only an agent
 * that shows its list without the session says that the promise never reached it.
 */
function isHandedOver({ session, dispatched, agent }: Situation): boolean {
  if (dispatched || session.status?.phase === 'Running') return true;
  return session.status?.phase === 'Preparing' && !(agent.connected && agent.sessions === 'listed');
}

/** It has ended: keep the record for its time, and see to it that the node keeps nothing. */
function planEnded(situation: Situation): readonly Action[] {
  const { session, observed, recorded, nowMs } = situation;
  const actions: Action[] = [];
  if (observed) {
    const status = new StatusBuilder(session, nowMs).cleanedUp(observed).recorded(observed.recording, recorded).build();
    if (observed.phase === 'Running' || observed.phase === 'Preparing') {
      // Given up here while its agent was away, and now the agent is back with it.
      actions.push({ type: 'removeFromAgent', node: session.status?.nodeName ?? '', reason: reasons.SessionEnded });
    }
    actions.push({ type: 'patchStatus', status });
  } else if (isSweptSince(situation)) {
    const status = new StatusBuilder(session, nowMs).swept().recorded(undefined, recorded).build();
    actions.push({ type: 'patchStatus', status });
  } else if (recorded) {
    actions.push({
      type: 'patchStatus',
      status: new StatusBuilder(session, nowMs).recorded(undefined, recorded).build(),
    });
  }
  const deleteAt = deleteAtMs(session) ?? nowMs;
  if (deleteAt <= nowMs) return [...actions, { type: 'deleteObject' }];
  return [...actions, { type: 'requeueAfter', ms: deleteAt - nowMs }];
}

/** Its agent was lost, and has come back without it. */
function isSweptSince({ session, agent }: Situation): boolean {
  const cleanedUp = session.status?.conditions?.find((each) => each.type === 'CleanedUp');
  return cleanedUp?.status === 'Unknown' && agent.connected && agent.sessions === 'listed';
}

/** The agent has it: its word is the truth about what runs. */
function planObserved(situation: Situation, observed: ObservedSession): readonly Action[] {
  const { session, recorded, nowMs } = situation;
  const status = resumed(situation, observed)
    .observed(observed)
    .recorded(observed.recording, recorded)
    .lasting(observed.maxDurationMs)
    .build();
  const actions: Action[] = [
    ...planExtension(situation, observed),
    ...writeCompany(situation, status, observed),
    ...transitionEvents(session, status, situation.podTold),
  ];
  const overdueAt = observed.phase === 'Running' ? overdueAtMs({ ...session, status }) : undefined;
  if (overdueAt === undefined) return actions;
  if (overdueAt > nowMs) return [...actions, { type: 'requeueAfter', ms: overdueAt - nowMs }];
  return [
    ...actions,
    { type: 'removeFromAgent', node: session.status?.nodeName ?? '', reason: reasons.MaxDurationExceeded },
  ];
}

/** What a leader that died had told the agent and not yet written down, as far as it can still be found out. */
function resumed({ session, pod, profile, nowMs }: Situation, { podUid }: ObservedSession): StatusBuilder {
  const builder = new StatusBuilder(session, nowMs);
  const { metadata, spec, status } = session;
  if (status?.podUID !== undefined || typeof pod !== 'object') return builder;
  // Another pod may have taken the name meanwhile.
  const found = resolveTarget(metadata.namespace, spec.target.pod, pod, podUid);
  if (found.ok && found.target.node === status?.nodeName) builder.resolved(found.target);
  return profile === 'absent' ? builder : builder.ruledBy(profile.generation, effective(spec, profile.bounds));
}

/** Who is attached goes into the status with whatever else changes there, and by itself only once it has stayed the same for a while. */
function writeCompany(
  { session, companyForMs, nowMs }: Situation,
  status: DebugSessionStatus,
  { clients }: ObservedSession,
): readonly Action[] {
  const next = new StatusBuilder({ ...session, status }, nowMs).attached(clients).build();
  const waits = !isDeepStrictEqual(next, status) && isDeepStrictEqual(status, session.status);
  if (!waits || companyForMs >= companySettlesMs) return [{ type: 'patchStatus', status: next }];
  return [{ type: 'requeueAfter', ms: companySettlesMs - companyForMs }];
}

/** Somebody has made its maxDuration longer, the one field of a spec that can change. The bound is that of its profile as it is now. */
function planExtension({ session, profile }: Situation, observed: ObservedSession): readonly Action[] {
  if (profile === 'absent' || (observed.phase !== 'Running' && observed.phase !== 'Preparing')) return [];
  const desired = extendedSession(session, observed, profile);
  if (!desired) return [];
  const told = extensionEvent(session, { from: observed.maxDurationMs ?? 0, to: desired.maxDurationMs });
  return [{ type: 'extend', node: session.status?.nodeName ?? '', desired, told }];
}

/** It was on an agent, and no agent shows it now. */
function planUnseen(situation: Situation): readonly Action[] {
  const { session, agent, nowMs } = situation;
  const { status } = session;
  const node = status?.nodeName ?? '';
  if (agent.connected) {
    // Its list is on the way, and with it an event that brings us back here.
    if (agent.sessions === 'unknown') return [];
    return fail(situation, {
      reason: reasons.AgentRestarted,
      message: `the agent on node "${node}" was restarted and the session ended with it: create a new one`,
    });
  }
  const lossMs = status?.phase === 'Running' && situation.node !== 'absent' ? situation.agentLossMs : agentAwayMs;
  if (agent.absentMs >= lossMs) {
    return fail(situation, {
      reason: reasons.AgentLost,
      message: `node "${node}" has been out of reach for ${Math.round(agent.absentMs / 1_000)} s, so how the session ended is not known: ${lookAt(node)}`,
    });
  }
  if (agent.absentMs < agentGraceMs) return [{ type: 'requeueAfter', ms: agentGraceMs - agent.absentMs }];
  const next = new StatusBuilder(session, nowMs)
    .attached(undefined)
    .notReady(
      reasons.AgentLost,
      `the agent on node "${node}" is not connected; the session goes on when it comes back`,
      'Unknown',
    )
    .build();
  return [
    { type: 'patchStatus', status: next },
    // Whether the node is still there is looked at again.
    { type: 'requeueAfter', ms: Math.min(lossMs - agent.absentMs, agentAwayMs) },
  ];
}

const lookAt = (node: string): string =>
  `see "kubectl get node ${node}" and "kubectl get pods -A -l app.kubernetes.io/component=agent --field-selector spec.nodeName=${node}"`;

/** Nobody has it yet. */
function planStart(situation: Situation): readonly Action[] {
  const { session, pod, agent, nowMs } = situation;
  const { metadata, spec, status } = session;
  const obstacle = planObstacle(situation);
  if (obstacle) return obstacle;
  const { profile } = situation;
  if (profile === 'absent') return waitForProfile(situation);
  const refusal = profileRefusal(session, profile);
  if (refusal) return fail(situation, refusal);
  if (pod === 'unknown') return [{ type: 'requeueAfter', ms: 0 }];
  const found = resolveTarget(metadata.namespace, spec.target.pod, pod === 'absent' ? undefined : pod, status?.podUID);
  if (!found.ok) return fail(situation, found.failure);
  const { target } = found;
  const desired = desiredSession(session, target, profile);
  if (!desired) {
    return fail(situation, {
      reason: reasons.Invalid,
      message:
        'spec.maxDuration, spec.idleTimeout or spec.detachGrace is not a duration such as 90s, 15m or 1h30m: create the session again',
    });
  }
  if (!agent.connected) return waitForAgent(situation, target, agent.absentMs);
  const next = new StatusBuilder(session, nowMs)
    .resolved(target)
    .ruledBy(profile.generation, effective(spec, profile.bounds))
    .preparing()
    .build();
  return [
    { type: 'dispatch', node: target.node, desired },
    { type: 'patchStatus', status: next },
    ...earlyExtensionEvents(session, effective(spec, profile.bounds).maxDuration),
  ];
}

/** Without the admission policies nobody has checked who asks for this: it waits for a minute, and then it fails. */
function planObstacle(situation: Situation): readonly Action[] | undefined {
  const { session, policies, nowMs } = situation;
  if (policies.intact) {
    // The API server's clock on both sides, in whole seconds.
    if (Date.parse(session.metadata.creationTimestamp) >= policies.sinceMs) return undefined;
    return fail(situation, {
      reason: reasons.PolicyMissing,
      message:
        'the session was created before the admission policies were changed last, so nobody has checked it by them: create it again',
    });
  }
  const failure = { reason: reasons.PolicyMissing, message: policies.why };
  const waitedMs = ageMs(session, nowMs);
  if (waitedMs >= policyWaitMs) return fail(situation, failure);
  const status = new StatusBuilder(session, nowMs).phase('Pending').notReady(failure.reason, failure.message).build();
  return [
    { type: 'patchStatus', status },
    event(
      'Warning',
      failure.reason,
      `debug session ${session.metadata.name} is not started: ${failure.message}`,
      'session',
    ),
    { type: 'requeueAfter', ms: policyWaitMs - waitedMs },
  ];
}

function waitForProfile(situation: Situation): readonly Action[] {
  const { session, nowMs } = situation;
  const waitedMs = ageMs(session, nowMs);
  if (waitedMs < profileWaitMs) return [{ type: 'requeueAfter', ms: profileWaitMs - waitedMs }];
  return fail(situation, {
    reason: reasons.ProfileNotFound,
    message: `there is no DebugProfile "${session.spec.profile}": see those that there are with "kubectl get debugprofiles"`,
  });
}

function waitForAgent(situation: Situation, target: ResolvedTarget, absentMs: number): readonly Action[] {
  const { session, nowMs } = situation;
  const waitedMs = Math.min(absentMs, ageMs(session, nowMs));
  if (waitedMs >= agentWaitMs) {
    return fail(
      situation,
      {
        reason: reasons.NoAgent,
        message: `no agent of Crashcart is connected on node "${target.node}": ${lookAt(target.node)}`,
      },
      target,
    );
  }
  const status = new StatusBuilder(session, nowMs)
    .resolved(target)
    .phase('Pending')
    .notReady(reasons.NoAgent, `waiting for the agent on node "${target.node}"`)
    .build();
  return [
    { type: 'patchStatus', status },
    { type: 'requeueAfter', ms: agentWaitMs - waitedMs },
  ];
}

function fail(situation: Situation, failure: Failure, target?: ResolvedTarget): readonly Action[] {
  const { session, nowMs, agent } = situation;
  const builder = new StatusBuilder(session, nowMs).failed(failure);
  if (target) builder.resolved(target);
  else if (!session.status?.nodeName) builder.condition({ type: 'TargetResolved', status: 'False', ...failure });
  const unsure = situation.inherited && !(agent.connected && agent.sessions === 'listed');
  if (situation.refusal || !(isHandedOver(situation) || unsure)) builder.nothingStarted();
  else if (agent.connected) builder.swept();
  else builder.cleanupUnknown();
  const status = builder.build();
  return [{ type: 'patchStatus', status }, ...transitionEvents(session, status, situation.podTold)];
}
