import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { findCgroups } from '../../src/linux/cgroup.ts';

export const cgroupRoot = '/sys/fs/cgroup';

/** Above everything that these tests make; of this run alone, so that another beside it is not swept up. */
export const testCgroup = `/crashcart-it-${process.pid}`;

/** The directories of one cgroup that are there, in all hierarchies. */
export function cgroupDirectories(path: string): string[] {
  const { unified, legacy } = findCgroups(cgroupRoot);
  return [...(unified ? [unified] : []), ...legacy]
    .map((root) => join(root, path))
    .filter((directory) => existsSync(directory));
}
