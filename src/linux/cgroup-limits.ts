import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { CgroupLayout } from './cgroup.ts';
import { hasErrno } from './errno.ts';

export interface CgroupLimits {
  readonly memoryBytes?: number;
  readonly pids?: number;
  /** Cores. */
  readonly cpus?: number;
}

const periodUs = 100_000;

/** A file and what is written to it, in each version of the interface. */
interface Setting {
  readonly unified: readonly [string, string];
  readonly legacy: readonly [string, string];
}

const settings: Readonly<Record<keyof CgroupLimits, (value: number) => Setting>> = {
  memoryBytes: (bytes) => ({
    unified: ['memory.max', `${bytes}`],
    legacy: ['memory.limit_in_bytes', `${bytes}`],
  }),
  pids: (count) => ({ unified: ['pids.max', `${count}`], legacy: ['pids.max', `${count}`] }),
  cpus: (cores) => ({
    unified: ['cpu.max', `${Math.ceil(cores * periodUs)} ${periodUs}`],
    legacy: ['cpu.cfs_quota_us', `${Math.ceil(cores * periodUs)}`],
  }),
};

/** Beside the memory limit, where the node has swap: none of it. */
const withoutSwap = (bytes: number): Setting => ({
  unified: ['memory.swap.max', '0'],
  legacy: ['memory.memsw.limit_in_bytes', `${bytes}`],
});

/** Sets them on a cgroup that exists; answers the kinds for which the hierarchies have no controller here. */
export function limitCgroup(layout: CgroupLayout, path: string, limits: CgroupLimits): readonly string[] {
  if (layout.unified !== undefined) offerControllers(layout.unified, path);
  const write = (setting: Setting): boolean => {
    const to = (root: string, [file, text]: readonly [string, string]): boolean =>
      writeIfPossible(join(root, path, file), text);
    const taken = layout.legacy.filter((root) => to(root, setting.legacy)).length > 0;
    return (layout.unified !== undefined && to(layout.unified, setting.unified)) || taken;
  };
  const missing = (Object.keys(settings) as (keyof CgroupLimits)[]).filter((kind) => {
    const value = limits[kind];
    return value !== undefined && !write(settings[kind](value));
  });
  if (limits.memoryBytes !== undefined) write(withoutSwap(limits.memoryBytes));
  return missing;
}

/** What the v2 hierarchy has and a cgroup of it lacks: enabled above it. Mostly an earlier session has seen to that. */
function offerControllers(root: string, path: string): void {
  const offered = controllersOf(join(root, path));
  const lacking = ['memory', 'pids', 'cpu'].filter((name) => !offered.includes(name));
  if (lacking.length === 0) return;
  const had = controllersOf(root);
  const wanted = lacking.filter((name) => had.includes(name));
  if (wanted.length > 0) enableControllers(root, dirname(path), wanted);
}

const controllersOf = (directory: string): readonly string[] =>
  readFileSync(join(directory, 'cgroup.controllers'), 'utf8').trim().split(' ');

/** For the cgroups below a path of the v2 hierarchy, from the top down; those with processes of their own refuse, and then have no limit. */
function enableControllers(root: string, path: string, controllers: readonly string[]): void {
  if (path !== '/' && path !== '.') enableControllers(root, dirname(path), controllers);
  for (const controller of controllers) writeIfPossible(join(root, path, 'cgroup.subtree_control'), `+${controller}`);
}

/** False when the kernel has no such file or does not offer the controller here. */
function writeIfPossible(file: string, text: string): boolean {
  // An error takes Node ten times as long as the question, and most files are of other hierarchies.
  if (!existsSync(file)) return false;
  try {
    writeFileSync(file, text, { flag: 'r+' });
    return true;
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'EINVAL', 'EBUSY', 'EACCES', 'EOPNOTSUPP')) return false;
    throw error;
  }
}
