import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasErrno } from './errno.ts';
import type { Fd } from './kernel.ts';

const magic = { v2: 0x63677270, v1: 0x27e0eb } as const;
/** The kernel kills at once, but a process in an uninterruptible call ends only after it. */
const emptyWithinMs = 10_000;
const lookIntervalMs = 2;

/** Where cgroups are mounted: one v2 hierarchy, v1 hierarchies, or both beside each other (hybrid). */
export interface CgroupLayout {
  /** Directory of the v2 hierarchy's root. */
  readonly unified?: string;
  /** Directory of each v1 hierarchy's root. */
  readonly legacy: readonly string[];
}

export function findCgroups(root: string): CgroupLayout {
  if (statfsSync(root).type === magic.v2) return { unified: root, legacy: [] };
  const directories = readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory()) // cpu and cpuacct may be links to one hierarchy
    .map(({ name }) => join(root, name));
  const ofType = (type: number): string[] => directories.filter((directory) => statfsSync(directory).type === type);
  const [unified] = ofType(magic.v2);
  return { ...(unified ? { unified } : {}), legacy: ofType(magic.v1) };
}

/** One cgroup, that is, a directory in every hierarchy. Paths are relative to the hierarchies' roots. */
export interface Cgroup {
  readonly path: string;
  /** Directories, open as long as `close` was not called. */
  readonly unified?: Fd;
  readonly legacy: readonly Fd[];
  /** Closes the descriptors; the cgroup stays. Safe twice. */
  close(): void;
  /** Kills all that is in it or below, and resolves once nothing is; false when something would not end in 10 s. */
  kill(): Promise<boolean>;
  /** Removes it in every hierarchy; what is gone already is no error. Answers what could not be removed. */
  remove(): readonly string[];
}

/** Makes it, and the directories above it, in every hierarchy. */
export function createCgroup(layout: CgroupLayout, path: string): Cgroup {
  for (const root of roots(layout)) makeAll(root, path);
  const unified = layout.unified === undefined ? undefined : openDirectory(join(layout.unified, path));
  const legacy = layout.legacy.map((root) => openDirectory(join(root, path)));
  let open = true;
  return {
    ...handle(layout, path),
    ...(unified === undefined ? {} : { unified }),
    legacy,
    close: () => {
      if (!open) return;
      open = false;
      for (const fd of [...legacy, ...(unified === undefined ? [] : [unified])]) closeSync(fd);
    },
  };
}

/** One that an earlier agent made, for killing and removing. */
export const findCgroup = (layout: CgroupLayout, path: string): Pick<Cgroup, 'path' | 'kill' | 'remove'> =>
  handle(layout, path);

/** Names of the cgroups below a path, in any hierarchy. */
export function listCgroups(layout: CgroupLayout, path: string): readonly string[] {
  const names = roots(layout).flatMap((root) => children(join(root, path)));
  return [...new Set(names.map((name) => basename(name)))];
}

/** Those in it, in any hierarchy. */
export function listProcesses(layout: CgroupLayout, path: string): readonly number[] {
  return [...new Set(roots(layout).flatMap((root) => processes(join(root, path))))];
}

/** Directories of the hierarchies' roots. */
export const roots = (layout: CgroupLayout): readonly string[] => [
  ...(layout.unified === undefined ? [] : [layout.unified]),
  ...layout.legacy,
];

const openDirectory = (path: string): Fd => openSync(path, 'r') as Fd;

function handle(layout: CgroupLayout, path: string): Pick<Cgroup, 'path' | 'kill' | 'remove'> {
  const directories = roots(layout).map((root) => join(root, path));
  return {
    path,
    kill: () => killAll(layout, path, directories),
    remove: () => directories.filter((directory) => !removeTree(directory)),
  };
}

/** The last one is mostly all that is missing. */
function makeAll(root: string, path: string): void {
  const directory = join(root, path);
  // An error takes Node ten times as long as the question.
  if (existsSync(directory)) return;
  try {
    mkdirSync(directory);
  } catch (error) {
    if (hasErrno(error, 'EEXIST')) return;
    if (!hasErrno(error, 'ENOENT') || path === '/') throw error;
    makeAll(root, dirname(path));
    makeAll(root, path);
    return;
  }
  if (/cpuset/.test(basename(root))) inheritCpuset(directory);
}

/** A new v1 cpuset is empty, and nobody can enter an empty one. */
function inheritCpuset(directory: string): void {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    try {
      writeFileSync(join(directory, file), readFileSync(join(dirname(directory), file)), { flag: 'r+' });
    } catch (error) {
      if (!hasErrno(error, 'ENOENT', 'EACCES', 'EINVAL')) throw error; // the one above is empty itself
    }
  }
}

async function killAll(layout: CgroupLayout, path: string, directories: readonly string[]): Promise<boolean> {
  const deadline = Date.now() + emptyWithinMs;
  for (;;) {
    if (layout.unified === undefined || !killAtOnce(join(layout.unified, path))) killEach(directories);
    if (directories.every((directory) => isEmpty(directory))) return true;
    if (Date.now() > deadline) return false;
    await sleep(lookIntervalMs);
  }
}

/** False where the kernel cannot (before 5.14). A cgroup that is gone has nobody in it. */
function killAtOnce(directory: string): boolean {
  try {
    writeFileSync(join(directory, 'cgroup.kill'), '1', { flag: 'r+' });
    return true;
  } catch (error) {
    if (hasErrno(error, 'ENODEV')) return true;
    if (hasErrno(error, 'ENOENT', 'EOPNOTSUPP')) return false;
    throw error;
  }
}

function killEach(directories: readonly string[]): void {
  for (const pid of directories.flatMap(processes)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if (!hasErrno(error, 'ESRCH')) throw error;
    }
  }
}

const isEmpty = (directory: string): boolean => processes(directory).length === 0;

/** Of the cgroup and all below it. 0 stands for a process that this pid namespace does not see: left out. */
function processes(directory: string): number[] {
  const own = readIfThere(join(directory, 'cgroup.procs')).split('\n').filter(Boolean).map(Number).filter(Boolean);
  return [...own, ...children(directory).flatMap(processes)];
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENODEV')) return '';
    throw error;
  }
}

function children(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join(directory, name));
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

/** A session may have made cgroups below its own. EBUSY: a process that has just been killed is not quite gone. */
function removeTree(directory: string): boolean {
  for (const child of children(directory)) removeTree(child);
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return true;
    if (hasErrno(error, 'EBUSY', 'ENOTEMPTY')) return false;
    throw error;
  }
}
