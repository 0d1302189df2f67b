import { CrashcartError, describe, reasons } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { listProcesses } from '../linux/cgroup.ts';
import { closeAll } from '../linux/kernel.ts';
import { parseDesiredSession } from '../wire/desired-session.ts';
import { launchedSession, type SessionRecord } from './launcher.ts';
import { supervisorsName } from './session/cgroup.ts';
import type { AgentDeps } from './session/process.ts';
import { takeOver } from './session/takeover.ts';
import type { Registry } from './sessions/registry.ts';

/**
 * Takes over the sessions that earlier agents of this node started. The kernel keeps the list: every session has a supervisor, all of them are
 * in one cgroup, and what a session was told stands in its supervisor's memory. So nothing can be listed that is not there, whatever moment an
 * agent or the machine ended in. `parents`: where this node's sessions are.
 */
export function adoptSessions(
  processes: AgentDeps,
  sessions: Registry,
  parents: readonly string[],
  log: Logger,
): number {
  let adopted = 0;
  for (const parent of parents) {
    for (const pid of listProcesses(processes.cgroups, `${parent}/${supervisorsName}`)) {
      try {
        if (adopt(processes, sessions, pid)) adopted++;
      } catch (caught) {
        // It ends when its lease does, and its session's cgroup is swept now.
        log.error('a session could not be taken over', { supervisor: pid, error: describe(caught) });
      }
    }
  }
  return adopted;
}

function adopt(processes: AgentDeps, sessions: Registry, pid: number): boolean {
  const { kernel } = processes;
  // Asked again later for more parents: what we have, or have started ourselves, is ours already.
  const taken = takeOver(processes, pid, (record) => !sessions.has(parseRecord(record).desired.uid));
  if (taken === undefined) return false;
  const { desired, context, startedAt } = parseRecord(taken.record);
  const launched = launchedSession(kernel, taken.process, startedAt, taken.target, () =>
    closeAll(kernel, taken.target),
  );
  sessions.takeOver(desired, context, launched);
  return true;
}

/** Our own words, but perhaps those of another version. */
function parseRecord(value: unknown): SessionRecord {
  const { desired, context, startedAt } = value as Partial<SessionRecord>;
  if (typeof startedAt !== 'string' || Number.isNaN(Date.parse(startedAt))) {
    throw new CrashcartError(reasons.Invalid, 'the record of a session does not say when it started');
  }
  const auditId = context?.auditId;
  return {
    desired: parseDesiredSession(desired),
    context: typeof auditId === 'string' ? { auditId } : {},
    startedAt,
  };
}
