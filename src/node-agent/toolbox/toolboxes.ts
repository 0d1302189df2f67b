import { existsSync, mkdirSync, readdirSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { hasErrno } from '../../linux/errno.ts';
import { closeAll, type Fd, type Kernel } from '../../linux/kernel.ts';
import { attachLoop } from '../../linux/loop.ts';
import { attachMount, cloneMount, mountAttribute, mountDetached, unmount } from '../../linux/mount.ts';

const suffix = '.erofs';
const attributes = mountAttribute.readOnly | mountAttribute.noSuid | mountAttribute.noDev;

/** The toolboxes of this node: NAME.erofs in one directory, each mounted once however many sessions use it (decision D7). */
export interface Toolboxes extends Disposable {
  /** Names of those that are there now. */
  names(): readonly string[];
  /** A detached clone of the toolbox's mount, owned by the caller. Throws ToolboxNotFound. */
  clone(name: string): Fd;
}

export interface ToolboxOptions {
  /** For kernels that cannot clone a detached mount (before 6.15): where the base is attached, in the agent's own mount namespace. */
  readonly stateDirectory: string;
}

/** One superblock: the file it was made of, and a mount of it that nobody sees. */
interface Base extends Disposable {
  readonly mount: Fd;
  readonly file: Stats;
}

export function openToolboxes(kernel: Kernel, directory: string, { stateDirectory }: ToolboxOptions): Toolboxes {
  const bases = new Map<string, Base>();
  const current = (name: string): Base => {
    const path = join(directory, `${name}${suffix}`);
    const file = statOf(path, () => names(directory));
    const known = bases.get(name);
    if (known && isSame(known.file, file)) return known;
    // The file was replaced: sessions that run keep the old superblock alive, new ones get the new.
    known?.[Symbol.dispose]();
    bases.delete(name);
    const base = openBase(kernel, path, file, join(stateDirectory, 'toolboxes', name));
    bases.set(name, base);
    return base;
  };
  return {
    names: () => names(directory),
    clone: (name) => cloneMount(kernel, current(requireName(name)).mount),
    [Symbol.dispose]: () => {
      for (const base of bases.values()) base[Symbol.dispose]();
      bases.clear();
    },
  };
}

const isSame = (one: Stats, other: Stats): boolean =>
  one.dev === other.dev && one.ino === other.ino && one.mtimeMs === other.mtimeMs && one.size === other.size;

/** A name becomes a path: nothing that leads elsewhere. */
function requireName(name: string): string {
  if (/^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$/.test(name)) return name;
  throw new CrashcartError(
    reasons.ToolboxNotFound,
    `"${name.slice(0, 80)}" is no name of a toolbox: use lower case letters, digits and dashes.`,
  );
}

function names(directory: string): readonly string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((file) => file.endsWith(suffix))
    .map((file) => file.slice(0, -suffix.length))
    .sort();
}

function statOf(path: string, others: () => readonly string[]): Stats {
  try {
    return statSync(path);
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) throw error;
    const name = path.slice(path.lastIndexOf('/') + 1, -suffix.length);
    const known = others().join(', ') || 'none at all';
    throw new CrashcartError(reasons.ToolboxNotFound, `The node has no toolbox "${name}": it has ${known}.`, {
      cause: error,
    });
  }
}

function openBase(kernel: Kernel, path: string, file: Stats, place: string): Base {
  const mount = mountImage(kernel, path);
  if (canClone(kernel, mount)) return { mount, file, [Symbol.dispose]: () => closeAll(kernel, mount) };
  mkdirSync(place, { recursive: true });
  attachMount(kernel, mount, place);
  return {
    mount,
    file,
    [Symbol.dispose]: () => {
      closeAll(kernel, mount);
      unmount(kernel, place);
    },
  };
}

function canClone(kernel: Kernel, mount: Fd): boolean {
  try {
    closeAll(kernel, cloneMount(kernel, mount));
    return true;
  } catch (error) {
    if (hasErrno(error, 'EINVAL')) return false;
    throw error;
  }
}

/** The file itself where erofs can (Linux 6.12), else one loop device for all sessions. */
function mountImage(kernel: Kernel, path: string): Fd {
  const mount = (source: string): Fd =>
    mountDetached(kernel, { type: 'erofs', options: { ro: '', source }, attributes });
  try {
    return mount(path);
  } catch (error) {
    if (!hasErrno(error, 'ENOTBLK')) throw error;
    using device = attachLoop(kernel, path);
    return mount(device.path);
  }
}
