import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type CgroupLayout, roots } from './cgroup.ts';
import { hasErrno } from './errno.ts';

export interface CgroupLimits {
  readonly memoryBytes?: number;
  readonly pids?: number;
  /** Cores. */
  readonly cpus?: number;
}

const periodUs = 100_000;

/** Files and what is written, for both versions of the interface; the first of a kind that takes it is enough. */
const settings: Readonly<Record<keyof CgroupLimits, (value: number) => readonly (readonly [string, string])[]>> = {
  memoryBytes: (bytes) => [
    ['memory.max', `${bytes}`],
    ['memory.limit_in_bytes', `${bytes}`],
  ],
  pids: (count) => [['pids.max', `${count}`]],
  cpus: (cores) => [
    ['cpu.max', `${Math.ceil(cores * periodUs)} ${periodUs}`],
    ['cpu.cfs_quota_us', `${Math.ceil(cores * periodUs)}`],
  ],
};

/** Beside the memory limit, where the node has swap: none of it. */
const withoutSwap = (bytes: number): readonly (readonly [string, string])[] => [
  ['memory.swap.max', '0'],
  ['memory.memsw.limit_in_bytes', `${bytes}`],
];

/** Sets them on a cgroup that exists; answers the kinds for which the hierarchies have no controller here. */
export function limitCgroup(layout: CgroupLayout, path: string, limits: CgroupLimits): readonly string[] {
  if (layout.unified !== undefined) enableControllers(layout.unified, dirname(path));
  const write = ([file, text]: readonly [string, string]): boolean =>
    roots(layout).filter((root) => writeIfPossible(join(root, path, file), text)).length > 0;
  const missing = (Object.keys(settings) as (keyof CgroupLimits)[]).filter((kind) => {
    const value = limits[kind];
    return value !== undefined && settings[kind](value).filter(write).length === 0;
  });
  if (limits.memoryBytes !== undefined) withoutSwap(limits.memoryBytes).forEach(write);
  return missing;
}

/** For the cgroups below a path of the v2 hierarchy, from the top down; those with processes of their own refuse, and then have no limit. */
function enableControllers(root: string, path: string): void {
  if (path !== '/' && path !== '.') enableControllers(root, dirname(path));
  for (const controller of ['memory', 'pids', 'cpu'])
    writeIfPossible(join(root, path, 'cgroup.subtree_control'), `+${controller}`);
}

/** False when the kernel has no such file or does not offer the controller here. */
function writeIfPossible(file: string, text: string): boolean {
  try {
    writeFileSync(file, text, { flag: 'r+' });
    return true;
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'EINVAL', 'EBUSY', 'EACCES', 'EOPNOTSUPP')) return false;
    throw error;
  }
}
