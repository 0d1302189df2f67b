import { readFileSync } from 'node:fs';
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
  const leftovers: string[] = [];
  const note = (what: string | undefined): boolean => {
    if (what !== undefined) leftovers.push(what);
    return what === undefined;
  };
  let cgroups = 0;
  for (const parent of new Set(parents)) {
    for (const name of listCgroups(deps.cgroups, parent)) {
      if (name === supervisorsName || sessions.has(name)) continue;
      if (note(await endAndRemoveCgroup(deps.cgroups, `${parent}/${name}`))) cgroups++;
    }
    // Where no session was taken over, nobody else takes the supervisors' cgroup away.
    await shareHomes(deps, parent).release();
  }
  let placements = 0;
  for (const record of readRecords(deps.stateDirectory)) {
    if (deps.placements.has(record.containerId)) continue;
    if (note(await takeOut(deps, record))) placements++;
  }
  eraseUnreadable(deps.stateDirectory);
  if (cgroups + placements + leftovers.length > 0)
    deps.log.info('swept up after an earlier agent', { cgroups, placements, leftovers });
  return { cgroups, placements, leftovers };
}

async function takeOut(deps: SweepDeps, record: PlacementRecord): Promise<string | undefined> {
  const { kernel, stateDirectory } = deps;
  try {
    const pidfd = openPidfd(kernel, record.pid as Pid);
    try {
      if (startTimeOf(record.pid) === record.startTime) {
        const values = {
          device: record.device,
          created: Number(record.created),
          createddev: Number(record.createdDev),
        };
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
