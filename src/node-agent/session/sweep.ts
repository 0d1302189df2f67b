import { readFileSync } from 'node:fs';
import type { Logger } from '../../base/log.ts';
import { type CgroupLayout, listCgroups } from '../../linux/cgroup.ts';
import { hasErrno } from '../../linux/errno.ts';
import type { Kernel, Pid } from '../../linux/kernel.ts';
import { closeAll } from '../../linux/kernel.ts';
import { openPidfd } from '../../linux/pidfd.ts';
import { parseStartTime } from '../../linux/proc.ts';
import { eraseRecord, type PlacementRecord, readRecords } from '../mount/journal.ts';
import { oneShot } from '../mount/placements.ts';
import { endAndRemoveCgroup } from './cgroup.ts';
import { sessionsCgroup } from './cgroup-path.ts';
import type { Entry } from './entry.ts';

export interface SweepDeps {
  readonly kernel: Kernel;
  readonly entry: Entry;
  readonly cgroups: CgroupLayout;
  readonly stateDirectory: string;
  readonly log: Logger;
}

export interface Swept {
  readonly cgroups: number;
  readonly placements: number;
  /** What could not be removed, for the log and a metric. */
  readonly leftovers: readonly string[];
}

/**
 * At the agent's start: ends the sessions that an earlier agent of this node left, and takes its toolboxes out of containers. `near`: the agent's own
 * cgroup path, or any container's; sessions lie beside kubepods there. Only what the earlier agent itself made is touched.
 */
export async function sweepLeftovers(deps: SweepDeps, near: string): Promise<Swept> {
  const parent = sessionsCgroup(near);
  const leftovers: string[] = [];
  const note = (what: string | undefined): boolean => {
    if (what !== undefined) leftovers.push(what);
    return what === undefined;
  };
  let cgroups = 0;
  for (const name of listCgroups(deps.cgroups, parent)) {
    if (note(await endAndRemoveCgroup(deps.cgroups, `${parent}/${name}`))) cgroups++;
  }
  let placements = 0;
  for (const record of readRecords(deps.stateDirectory)) {
    if (note(await takeOut(deps, record))) placements++;
  }
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
