import { describe } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { type CgroupLayout, findCgroup } from '../../linux/cgroup.ts';
import type { Kernel } from '../../linux/kernel.ts';
import { endAndRemoveCgroup } from '../../node-agent/session/cgroup.ts';
import type { Entry } from '../../node-agent/session/entry.ts';
import { cgroupParent, exclusive, openStateDirectory } from './directory.ts';
import { type AttachedImages, openAttachedImages } from './images.ts';
import { type MountDeps, settle } from './mounts.ts';
import {
  type ImageRecord,
  isAlive,
  type MountRecord,
  openImageRecords,
  openMountRecords,
  openSessionRecords,
  type Records,
  type SessionRecord,
} from './records.ts';

/** All that this program keeps on the node between its runs. */
export interface State {
  readonly mounts: Records<MountRecord>;
  readonly sessions: Records<SessionRecord>;
  readonly keptImages: Records<ImageRecord>;
  readonly images: AttachedImages;
  /** Runs `body` while no other crashcart changes anything here, after a sweep and before another. */
  change<T>(body: () => Promise<T>): Promise<T>;
}

export interface StateDeps {
  readonly kernel: Kernel;
  readonly entry: Entry;
  readonly cgroups: CgroupLayout;
  readonly log: Logger;
}

export function openState(directory: string, deps: StateDeps): State {
  openStateDirectory(directory);
  const state: Omit<State, 'change'> = {
    mounts: openMountRecords(directory),
    sessions: openSessionRecords(directory),
    keptImages: openImageRecords(directory),
    images: openAttachedImages(deps.kernel, directory),
  };
  return {
    ...state,
    change: (body) =>
      exclusive(deps.kernel, directory, async () => {
        await sweep(state, deps);
        try {
          return await body();
        } finally {
          tidy(state, deps.cgroups);
        }
      }),
  };
}

/** Ends what crashcart processes left that did not end in order, and forgets containers that are gone. */
async function sweep(state: Omit<State, 'change'>, deps: StateDeps): Promise<void> {
  for (const { uid, owner, container } of state.sessions.all()) {
    if (isAlive(owner)) continue;
    const left = await endAndRemoveCgroup(deps.cgroups, `${cgroupParent}/${uid}`);
    if (left === undefined) state.sessions.erase(uid);
    else deps.log.warn(`a session in ${container.label} that lost its crashcart could not be removed`, { left });
  }
  const mounts: MountDeps = { ...deps, records: state.mounts };
  for (const record of state.mounts.all()) {
    try {
      await settle(mounts, { ...record, users: record.users.filter(isAlive) });
    } catch (error) {
      deps.log.warn(`the toolbox in ${record.container.label} could not be taken out`, { error: describe(error) });
    }
  }
}

/** An image is mounted, and the directory of cgroups is there, as long as something uses them. */
function tidy(state: Omit<State, 'change'>, cgroups: CgroupLayout): void {
  const users = [...state.mounts.all(), ...state.sessions.all(), ...state.keptImages.all()];
  state.images.detachUnused(new Set(users.map(({ image }) => image.key)));
  // Never the cgroup of a session that is just being made: its record comes first.
  if (state.sessions.all().length === 0) findCgroup(cgroups, cgroupParent).remove();
}
