import { readlinkSync } from 'node:fs';

/** Flag of setns(2) for each name in /proc/PID/ns. */
const flags = {
  mnt: 0x00020000,
  cgroup: 0x02000000,
  uts: 0x04000000,
  ipc: 0x08000000,
  pid: 0x20000000,
  net: 0x40000000,
  time: 0x00000080,
} as const;

export type NamespaceName = keyof typeof flags | 'user';

/** `mnt:[4026531841]`: which namespace a process is in; undefined where the kernel has no such kind. ENOENT when the process is gone is undefined too. */
export function namespaceOf(pid: number | 'self', name: NamespaceName): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${name}`);
  } catch {
    return undefined;
  }
}

const own = new Map<NamespaceName, string>();

/** Of this process, which never changes one of its namespaces (decision D5): asked for until there was an answer. */
export function ownNamespace(name: NamespaceName): string | undefined {
  const found = own.get(name) ?? namespaceOf('self', name);
  if (found !== undefined) own.set(name, found);
  return found;
}

const differs = (pid: number, name: NamespaceName): boolean => {
  const theirs = namespaceOf(pid, name);
  return theirs !== undefined && theirs !== ownNamespace(name);
};

export interface NamespacesToJoin {
  /** CLONE_NEW* of all in which the process differs from us, but the user namespace. */
  readonly flags: number;
  /** The user namespace differs: joined last, on its own. */
  readonly user: boolean;
}

export function namespacesToJoin(pid: number): NamespacesToJoin {
  const names = Object.keys(flags) as (keyof typeof flags)[];
  const sum = names.filter((name) => differs(pid, name)).reduce((all, name) => all | flags[name], 0);
  return { flags: sum, user: differs(pid, 'user') };
}

export const mountNamespaceFlag = flags.mnt;
