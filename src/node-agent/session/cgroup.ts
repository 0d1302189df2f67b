import { setTimeout as sleep } from 'node:timers/promises';
import type { SessionLimits } from '../../api/profile-rules.ts';
import type { Logger } from '../../base/log.ts';
import { type Cgroup, type CgroupLayout, createCgroup, findCgroup } from '../../linux/cgroup.ts';
import { limitCgroup } from '../../linux/cgroup-limits.ts';
import { filterDevices } from '../../linux/device-filter.ts';
import type { Fd, Kernel } from '../../linux/kernel.ts';
import { sessionsCgroup } from './cgroup-path.ts';
import type { ProcessRequest } from './request.ts';

export interface SessionCgroup extends Pick<Cgroup, 'path' | 'unified' | 'legacy'> {
  readonly hierarchies: number;
  /** Kills everything in it; false when something would not die. */
  kill(): Promise<boolean>;
  /** Kills, removes and closes; answers what is left. Safe twice. */
  endAndRemove(): Promise<string | undefined>;
}

interface CgroupDeps {
  readonly kernel: Kernel;
  readonly cgroups: CgroupLayout;
  readonly deviceFilter: Fd;
  readonly sessionsCgroup?: string;
  readonly log: Logger;
}

/** The session's own cgroup, with its limits (the pod's do not count here) and the device filter on it before anybody is in it. */
export function openSessionCgroup(
  request: Pick<ProcessRequest, 'uid' | 'target'>,
  limits: SessionLimits,
  deps: CgroupDeps,
): SessionCgroup {
  const path = `${deps.sessionsCgroup ?? sessionsCgroup(request.target.spec.cgroupsPath)}/${request.uid}`;
  const cgroup = createCgroup(deps.cgroups, path);
  try {
    const missing = limitCgroup(deps.cgroups, path, limits);
    if (missing.length > 0) deps.log.warn('the node offers no cgroup controller for limits', { cgroup: path, missing });
    if (cgroup.unified !== undefined) filterDevices(deps.kernel, cgroup.unified, deps.deviceFilter);
  } catch (error) {
    cgroup.close();
    cgroup.remove();
    throw error;
  }
  return {
    ...cgroup,
    hierarchies: cgroup.legacy.length + (cgroup.unified === undefined ? 0 : 1),
    endAndRemove: async () => {
      cgroup.close();
      return endAndRemoveCgroup(deps.cgroups, path);
    },
  };
}

/** A cgroup is busy for a moment after its last process died. */
const removeWithinMs = 2_000;

export async function endAndRemoveCgroup(layout: CgroupLayout, path: string): Promise<string | undefined> {
  const cgroup = findCgroup(layout, path);
  const ended = await cgroup.kill();
  for (const deadline = Date.now() + removeWithinMs; ; await sleep(2)) {
    const left = cgroup.remove();
    if (left.length === 0) return undefined;
    if (Date.now() > deadline) return `${ended ? '' : 'a process that cannot be killed in '}${left.join(', ')}`;
  }
}
