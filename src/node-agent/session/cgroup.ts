import { setTimeout as sleep } from 'node:timers/promises';
import type { SessionLimits } from '../../api/profile-rules.ts';
import type { Logger } from '../../base/log.ts';
import { type Cgroup, type CgroupLayout, createCgroup, findCgroup } from '../../linux/cgroup.ts';
import { limitCgroup } from '../../linux/cgroup-limits.ts';
import { duplicate } from '../../linux/descriptors.ts';
import { filterDevices } from '../../linux/device-filter.ts';
import { closeAll, type Fd, type Kernel } from '../../linux/kernel.ts';
import { waitPidfd } from '../../linux/pidfd.ts';
import { sessionsCgroup } from './cgroup-path.ts';
import { rememberParent } from './parents.ts';
import type { ProcessRequest } from './request.ts';

export interface SessionCgroup extends Pick<Cgroup, 'path' | 'unified' | 'legacy'> {
  readonly hierarchies: number;
  /** Kills everything in it; false when something would not die. */
  kill(): Promise<boolean>;
  /** Kills, removes and closes; answers what is left. Safe twice. */
  endAndRemove(): Promise<string | undefined>;
}

export interface CgroupDeps {
  readonly kernel: Kernel;
  readonly cgroups: CgroupLayout;
  readonly deviceFilter: Fd;
  readonly sessionsCgroup?: string;
  readonly stateDirectory?: string;
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

/** Of a session that could not be started. What hangs in a file system of the container ends with that, and no sooner. */
export async function removeInTheEnd(
  cgroup: Pick<SessionCgroup, 'endAndRemove'>,
  container: number,
  { kernel, log }: Pick<CgroupDeps, 'kernel' | 'log'>,
): Promise<void> {
  const pidfd = duplicate(kernel, container);
  const left = await cgroup.endAndRemove();
  if (left === undefined) return closeAll(kernel, pidfd);
  log.warn('a session that could not be started left something, until its container ends', { left });
  void waitPidfd(kernel, pidfd)
    .then(() => cgroup.endAndRemove())
    .then((still) => still && log.warn('a session that could not be started left something', { left: still }))
    .catch((error: unknown) => log.error('the cgroup of a session that could not be started', { error: String(error) }))
    .finally(() => closeAll(kernel, pidfd));
}

/** One that an earlier agent made. */
export const findSessionCgroup = (
  deps: CgroupDeps,
  path: string,
): Pick<SessionCgroup, 'path' | 'kill' | 'endAndRemove'> => ({
  ...findCgroup(deps.cgroups, path),
  endAndRemove: () => endAndRemoveCgroup(deps.cgroups, path),
});

/** Supervisors are in no session's cgroup, nor in the agent's: its end is not theirs. No session's uid has an underscore. */
export const supervisorsName = '_supervisors';

export interface Homes {
  /** In the v2 hierarchy. */
  readonly unified?: Fd;
  readonly legacy: readonly Fd[];
  /** The descriptors. Safe twice. */
  close(): void;
  /** One session less needs them; after the last one they are removed. Safe twice. */
  release(): Promise<void>;
}

/** Sessions by the cgroup of their supervisors: it must not be removed between its making and a supervisor's going there. */
const homesInUse = new Map<string, number>();
const homesRemovedWithinMs = 200;

export function openHomes(
  deps: CgroupDeps,
  request: Pick<ProcessRequest, 'target' | 'survival' | 'endsWithUs'>,
): Homes {
  if (!request.survival || request.endsWithUs) return { legacy: [], close: () => {}, release: async () => {} };
  const parent = deps.sessionsCgroup ?? sessionsCgroup(request.target.spec.cgroupsPath);
  if (deps.stateDirectory !== undefined) rememberParent(deps.stateDirectory, parent);
  const shared = shareHomes(deps, parent);
  const { unified, legacy, close } = createCgroup(deps.cgroups, `${parent}/${supervisorsName}`);
  return { ...shared, ...(unified === undefined ? {} : { unified }), legacy, close };
}

/** Of a supervisor that is there already. */
export function shareHomes(deps: Pick<CgroupDeps, 'cgroups'>, parent: string): Pick<Homes, 'release'> {
  const path = `${parent}/${supervisorsName}`;
  homesInUse.set(path, (homesInUse.get(path) ?? 0) + 1);
  let held = true;
  return {
    release: async () => {
      if (!held) return;
      held = false;
      homesInUse.set(path, (homesInUse.get(path) ?? 1) - 1);
      // A supervisor of an agent that we know nothing of keeps it: busy, and left.
      for (const deadline = Date.now() + homesRemovedWithinMs; Date.now() < deadline; await sleep(5)) {
        if (homesInUse.get(path) !== 0 || findCgroup(deps.cgroups, path).remove().length === 0) return;
      }
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
