import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { type CgroupLayout, listCgroups } from '../../linux/cgroup.ts';
import { hasErrno } from '../../linux/errno.ts';
import type { Kernel, Pid } from '../../linux/kernel.ts';
import { closeAll } from '../../linux/kernel.ts';
import { openPidfd } from '../../linux/pidfd.ts';
import { parseStartTime } from '../../linux/proc.ts';
import { eraseRecord, eraseUnreadable, type PlacementRecord, readRecords } from '../mount/journal.ts';
import { type JournalledPlacements, oneShot } from '../mount/placements.ts';
import { endAndRemoveCgroup, shareHomes, supervisorsName } from './cgroup.ts';
import type { Entry } from './entry.ts';

export interface SweepDeps {
  readonly kernel: Kernel;
  readonly entry: Entry;
  readonly cgroups: CgroupLayout;
  readonly stateDirectory: string;
  readonly placements: JournalledPlacements;
  readonly log: Logger;
}

export interface Swept {
  readonly cgroups: number;
  readonly placements: number;
  /** What could not be removed, for the log and a metric. */
  readonly leftovers: readonly string[];
}

/** Who still uses what is found. */
export interface InUse {
  /** A session of this agent, or one that it took over, by uid. */
  has(uid: string): boolean;
}

/**
 * At the agent's start, behind the take-over: ends what earlier agents of this node left without a supervisor, and takes their toolboxes out of containers.
 * `parents`: the cgroups of this node's sessions. Only what an agent itself made is touched, and nothing that is in use.
 */
export async function sweepLeftovers(deps: SweepDeps, parents: readonly string[], sessions: InUse): Promise<Swept> {
  const { removed: cgroups, leftovers } = await sweepCgroups(deps, parents, sessions);
  // Where no session was taken over, nobody else takes the supervisors' cgroup away.
  for (const parent of new Set(parents)) await shareHomes(deps, parent).release();
  let placements = 0;
  for (const record of readRecords(deps.stateDirectory)) {
    if (deps.placements.has(record.containerId)) continue;
    const left = await takeOut(deps, record);
    if (left === undefined) placements++;
    else leftovers.push(left);
  }
  eraseUnreadable(deps.stateDirectory);
  if (cgroups + placements + leftovers.length > 0)
    deps.log.info('swept up after an earlier agent', { cgroups, placements, leftovers });
  return { cgroups, placements, leftovers };
}

async function sweepCgroups(
  deps: Pick<SweepDeps, 'cgroups'>,
  parents: readonly string[],
  sessions: InUse,
): Promise<{ readonly removed: number; readonly leftovers: string[] }> {
  const leftovers: string[] = [];
  let removed = 0;
  for (const parent of new Set(parents)) {
    for (const name of listCgroups(deps.cgroups, parent)) {
      if (name === supervisorsName || sessions.has(name)) continue;
      const left = await endAndRemoveCgroup(deps.cgroups, `${parent}/${name}`);
      if (left === undefined) removed++;
      else leftovers.push(left);
    }
  }
  return { removed, leftovers };
}

export interface Resweep {
  /** Asked anew each time. */
  readonly parents: () => readonly string[];
  readonly sessions: InUse;
  /** How many cgroups are left after each time. */
  readonly observe: (leftovers: number) => void;
  readonly everyMs: number;
  readonly signal: AbortSignal;
}

/**
 * A process in a call that no signal ends (a file system that does not answer) keeps its session's cgroup beyond all attempts of the session and of the
 * first sweep: tried again for as long as this agent lives. Resolves when it is told to stop.
 */
export async function sweepAgain(deps: Pick<SweepDeps, 'cgroups' | 'log'>, options: Resweep): Promise<void> {
  const { parents, sessions, observe, everyMs, signal } = options;
  let known = '';
  const look = async (): Promise<void> => {
    const { removed, leftovers } = await sweepCgroups(deps, parents(), sessions);
    observe(leftovers.length);
    if (removed > 0) deps.log.info('removed what sessions had left', { cgroups: removed });
    const now = leftovers.join('; ');
    if (now !== known && now !== '') deps.log.error('sessions left what cannot be removed yet', { leftovers });
    known = now;
  };
  while (!signal.aborted) {
    await sleep(everyMs, undefined, { signal, ref: false }).catch(() => {});
    if (!signal.aborted)
      await look().catch((error: unknown) => deps.log.error('could not sweep up', { error: describe(error) }));
  }
}

async function takeOut(deps: SweepDeps, record: PlacementRecord): Promise<string | undefined> {
  const { kernel, stateDirectory } = deps;
  try {
    const pidfd = openPidfd(kernel, record.pid as Pid);
    try {
      if (startTimeOf(record.pid) === record.startTime) {
        const values = { device: record.device, created: record.created, createddev: record.createdDev };
        await oneShot(deps, { verb: 'remove', target: pidfd, mount: undefined, values });
      }
    } finally {
      closeAll(kernel, pidfd);
    }
  } catch (error) {
    // ESRCH: the container is gone, and the mount with it.
    if (!hasErrno(error, 'ESRCH', 'ENOENT')) return `the toolbox in container ${record.containerId}: ${String(error)}`;
  }
  eraseRecord(stateDirectory, record.containerId);
  return undefined;
}

const startTimeOf = (pid: number): string => parseStartTime(readFileSync(`/proc/${pid}/stat`, 'utf8'));
