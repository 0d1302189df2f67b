import { type DebugSessionStatus, isTerminal } from '../api/debug-session.ts';

/** A step on the way waits this long for the next one, and is written with it. */
export const settleMs = 500;
/** However many steps there are: an agent that says one after the other must not keep all of them from being written. */
export const mostSettleMs = 3 * settleMs;

/**
 * Whether `next` is only a step on the way from what was written last, about which the agent will very likely say more within `settleMs`: a session
 * that was just handed over is about to run, a command that has just started may end at once, one that has ended is about to be cleaned up.
 * What somebody waits for is never one: a failure, the proof. Gateways need the node, and have it from the agent (gateway/placements.ts).
 */
export function isPassing(written: DebugSessionStatus | undefined, next: DebugSessionStatus): boolean {
  const isNew = written?.phase === undefined || written.phase === 'Pending';
  if (next.phase === 'Preparing') return isNew;
  if (next.phase === 'Running') return isNew || written.phase === 'Preparing';
  if (next.phase !== 'Finished' || isTerminal(written?.phase)) return false;
  return next.conditions?.some(({ type, reason }) => type === 'CleanedUp' && reason === 'InProgress') ?? false;
}
