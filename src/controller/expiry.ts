import { type DebugSession, isTerminal } from '../api/debug-session.ts';
import { parseDuration } from '../base/duration.ts';

/** The agent ends a session by its own clock. This much later the controller does it for an agent whose clock stands still. */
const overrunGraceMs = 30_000;
const defaultTtlMs = 3_600_000;

const at = (time: string | undefined): number | undefined => {
  const ms = Date.parse(time ?? '');
  return Number.isNaN(ms) ? undefined : ms;
};

/** When the record may go, in ms since the epoch; undefined while the session has not ended. */
export function deleteAtMs({ status, spec }: DebugSession): number | undefined {
  const finished = at(status?.finishedAt);
  if (!isTerminal(status?.phase) || finished === undefined) return undefined;
  return finished + (parseDuration(spec.ttlAfterFinished) ?? defaultTtlMs);
}

/** When a running session is overdue; undefined while it has not started. */
export function overdueAtMs({ status, spec }: DebugSession): number | undefined {
  const started = at(status?.startedAt);
  const maximum = parseDuration(spec.maxDuration);
  return started === undefined || maximum === undefined ? undefined : started + maximum + overrunGraceMs;
}

export const ageMs = ({ metadata }: DebugSession, nowMs: number): number =>
  nowMs - (at(metadata.creationTimestamp) ?? nowMs);
