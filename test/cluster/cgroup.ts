import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Mount points of every cgroup hierarchy here: several with cgroup v1, one with v2. */
export function hierarchies(mounts = readFileSync('/proc/mounts', 'utf8')): string[] {
  const points = mounts
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, point, type]) => (type === 'cgroup' || type === 'cgroup2') && point?.startsWith('/sys/fs/cgroup'))
    .map(([, point]) => point as string);
  return [...new Set(points)];
}

/**
 * Makes the cgroup `path`, with all above it, and a leaf `system` in it, where the node's own programs live as under
 * systemd. Returns the `cgroup.procs` files that a process joins the leaf by.
 */
export function createCgroup(path: string): string[] {
  return hierarchies().map((hierarchy) => {
    let at = hierarchy;
    for (const part of [...path.split('/'), 'system']) {
      enableControllers(at);
      const below = join(at, part);
      mkdirSync(below, { recursive: true });
      // A cpuset of v1 starts empty and takes no process until it is filled.
      for (const file of ['cpuset.cpus', 'cpuset.mems']) copySetting(join(at, file), join(below, file));
      at = below;
    }
    return join(at, 'cgroup.procs');
  });
}

function copySetting(from: string, to: string): void {
  if (existsSync(from) && existsSync(to) && readFileSync(to, 'utf8').trim() === '')
    writeFileSync(to, readFileSync(from));
}

/** cgroup v2 gives a group's controllers to its children only when told; v1 has no such file. */
function enableControllers(directory: string): void {
  const control = join(directory, 'cgroup.subtree_control');
  if (!existsSync(control)) return;
  for (const controller of readFileSync(join(directory, 'cgroup.controllers'), 'utf8').trim().split(' ')) {
    try {
      if (controller) writeFileSync(control, `+${controller}`);
    } catch {
      // Some controllers cannot be handed down everywhere; the kubelet names those that it misses.
    }
  }
}

/** The cluster's own cgroup in every hierarchy that has it, as absolute directories. */
export function findCgroups(prefix: string): string[] {
  return hierarchies()
    .map((hierarchy) => join(hierarchy, prefix))
    .filter((directory) => existsSync(directory));
}

/** The cgroup and everything below it, deepest first. */
export function cgroupTree(directory: string): string[] {
  try {
    const below = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [...below.flatMap((entry) => cgroupTree(join(directory, entry.name))), directory];
  } catch {
    return []; // gone meanwhile
  }
}

/** Pids of all processes in the cluster's cgroups. */
export function cgroupProcesses(prefix: string): number[] {
  const pids = findCgroups(prefix)
    .flatMap(cgroupTree)
    .flatMap((directory) => {
      try {
        return readFileSync(join(directory, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
      } catch {
        return [];
      }
    });
  return [...new Set(pids)];
}

/** Removes empty cgroups; true when none is left. A cgroup stays busy for a moment after its last process died. */
export function removeCgroups(prefix: string): boolean {
  for (const directory of findCgroups(prefix).flatMap(cgroupTree)) {
    try {
      rmdirSync(directory);
    } catch {
      // tried again by the caller
    }
  }
  return findCgroups(prefix).length === 0;
}
