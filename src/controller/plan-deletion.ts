import { finalizer } from '../api/names.ts';
import { reasons } from '../base/errors.ts';
import type { ObservedSession } from '../wire/agent-protocol.ts';
import { event, transitionEvents } from './session-events.ts';
import { type Action, agentAwayMs, type Situation } from './situation.ts';
import { StatusBuilder } from './status.ts';

/** A deletion waits for a proven clean-up, but never for ever: an agent that is gone must not block it. */
export const cleanupDeadlineMs = 60_000;
const retryMs = 2_000;

/** The object is being deleted: take it from the agent, then let it go. */
export function planDeletion(situation: Situation): readonly Action[] {
  const { session, agent, observed, dispatched, nowMs } = situation;
  if (!session.metadata.finalizers?.includes(finalizer)) return [];
  const node = session.status?.nodeName;
  if (observed) return endOnAgent(situation, observed, node ?? '');
  const proven = session.status?.conditions?.some((each) => each.type === 'CleanedUp' && each.status === 'True');
  const neverSent = !dispatched && (!node || session.status?.phase === 'Pending');
  if (neverSent && !proven && situation.inherited) return [{ type: 'requeueAfter', ms: retryMs }];
  if (neverSent || proven) return [{ type: 'removeFinalizer' }];
  if (agent.connected) {
    // Not in its list: it never started, or the agent was restarted and has swept.
    return agent.sessions === 'listed' ? [{ type: 'removeFinalizer' }] : [{ type: 'requeueAfter', ms: retryMs }];
  }
  if (situation.node === 'absent') return letGo(`node "${node}" does not exist any more`);
  const waitedMs = Math.min(agent.absentMs, nowMs - Date.parse(session.metadata.deletionTimestamp ?? ''));
  if (waitedMs >= agentAwayMs)
    return letGo(`the agent on node "${node}" has not been connected for ${agentAwayMs / 1_000} s`);
  return [{ type: 'requeueAfter', ms: Math.max(1, Math.min(retryMs * 5, agentAwayMs - waitedMs)) }];
}

function endOnAgent(
  { session, agent, podTold, nowMs }: Situation,
  observed: ObservedSession,
  node: string,
): readonly Action[] {
  const forget: Action = { type: 'removeFromAgent', node, reason: reasons.Deleted };
  if (observed.cleanedUp) {
    // Nobody will read a status any more; the Events outlive the object.
    const events = transitionEvents(session, new StatusBuilder(session, nowMs).observed(observed).build(), podTold);
    return [...events, ...(agent.connected ? [forget] : []), { type: 'removeFinalizer' }];
  }
  const waitedMs = nowMs - Date.parse(session.metadata.deletionTimestamp ?? '');
  if (waitedMs >= cleanupDeadlineMs) {
    return letGo(
      `the agent on node "${node}" could not remove ${observed.leftovers ?? 'everything'} within ${cleanupDeadlineMs / 1_000} s`,
    );
  }
  return [forget, { type: 'requeueAfter', ms: retryMs }];
}

function letGo(cause: string): readonly Action[] {
  const message = `${cause}, so the session was deleted without a proof that nothing of it is left there`;
  return [event('Warning', 'CleanupNotProven', message), { type: 'removeFinalizer' }];
}
