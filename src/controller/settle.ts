import { type DebugSessionStatus, isTerminal } from '../api/debug-session.ts';

/** A command that is over within this leaves one status and one Event of its end, not one for every step on the way. */
export const settleMs = 500;

/**
 * Whether `next` is only a step on the way, about which the agent will very likely say more within `settleMs`: a command that has just
 * started may end at once, one that has ended is about to be cleaned up. What somebody waits for is never one: the node, a failure, the proof.
 */
export function isPassing(before: DebugSessionStatus | undefined, next: DebugSessionStatus): boolean {
  if (next.phase === 'Running') return before?.phase === 'Preparing';
  if (next.phase !== 'Finished' || isTerminal(before?.phase)) return false;
  return next.conditions?.some(({ type, reason }) => type === 'CleanedUp' && reason === 'InProgress') ?? false;
}
