/** What a test looks for in a plan. */
import type { Condition, DebugSessionStatus } from '../api/debug-session.ts';
import type { Action } from './situation.ts';

export const types = (actions: readonly Action[]): string[] => actions.map((each) => each.type);

/** Of a plan that writes one. */
export function statusOf(actions: readonly Action[]): DebugSessionStatus {
  const status = actions.find((each) => each.type === 'patchStatus')?.status;
  if (!status) throw new Error(`no status is written, only ${types(actions).join(', ') || 'nothing done'}`);
  return status;
}

export const conditionOf = (status: DebugSessionStatus, type: string): Condition | undefined =>
  status.conditions?.find((each) => each.type === type);

export const requeueOf = (actions: readonly Action[]): number | undefined =>
  actions.find((each) => each.type === 'requeueAfter')?.ms;

export const eventsOf = (actions: readonly Action[]): string[] =>
  actions.flatMap((each) => (each.type === 'event' ? [`${each.level} ${each.reason}`] : []));
