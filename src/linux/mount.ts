import { readSync } from 'node:fs';
import { SyscallError } from './errno.ts';
import { closeAll, type Fd, invoke, type Kernel } from './kernel.ts';

export const mountAttribute = { readOnly: 0x1, noSuid: 0x2, noDev: 0x4, noExec: 0x8, idmap: 0x100000 } as const;

const atEmptyPath = 0x1000;
const closeOnExec = 0o2000000;
const openTreeClone = 0x1;
const fsconfig = { setFlag: 0, setString: 1, create: 6 } as const;

export interface Filesystem {
  readonly type: string;
  /** `key: value`; an empty value is a flag. */
  readonly options: Readonly<Record<string, string>>;
  /** Bits of `mountAttribute`. */
  readonly attributes: number;
}

/** A new superblock as a detached mount: nowhere in the tree of files, alive as long as its descriptor or a clone. */
export function mountDetached(kernel: Kernel, { type, options, attributes }: Filesystem): Fd {
  const context = invoke(kernel, 'fsopen', type, type, 1) as Fd;
  try {
    for (const [key, value] of Object.entries(options)) configure(kernel, context, type, key, value);
    explained(context, () => invoke(kernel, 'fsconfig', `${type}, create`, context, fsconfig.create, null, null, 0));
    return invoke(kernel, 'fsmount', type, context, 1, attributes) as Fd;
  } finally {
    closeAll(kernel, context);
  }
}

function configure(kernel: Kernel, context: Fd, type: string, key: string, value: string): void {
  const flag = value === '';
  const command = flag ? fsconfig.setFlag : fsconfig.setString;
  explained(context, () =>
    invoke(kernel, 'fsconfig', `${type}, ${key}=${value}`, context, command, key, flag ? null : value, 0),
  );
}

/** The file system's own words about a failure can be read from its context: they become the cause. */
function explained(context: Fd, call: () => number): void {
  try {
    call();
  } catch (error) {
    const words = readWords(context);
    if (!(error instanceof SyscallError) || words === '') throw error;
    throw new SyscallError(error.call, error.message, error.errno, { cause: new Error(words) });
  }
}

function readWords(context: Fd): string {
  const buffer = Buffer.alloc(1024);
  try {
    return buffer.toString('utf8', 0, readSync(context, buffer)).trim();
  } catch {
    return ''; // ENODATA: it said nothing
  }
}

/** A detached clone of a mount: the same superblock, a mount of its own. EINVAL before Linux 6.15 when `mount` is detached itself. */
export const cloneMount = (kernel: Kernel, mount: Fd): Fd =>
  invoke(kernel, 'open_tree', `mount ${mount}, clone`, mount, '', openTreeClone | closeOnExec | atEmptyPath) as Fd;

/** Shows the files' owners through the mapping of a user namespace; only on a mount that was never attached. */
export function mapOwners(kernel: Kernel, mount: Fd, userNamespace: Fd): void {
  const attributes = Buffer.alloc(32);
  attributes.writeBigUInt64LE(BigInt(mountAttribute.idmap), 0);
  attributes.writeBigUInt64LE(BigInt(userNamespace), 24);
  invoke(kernel, 'mount_setattr', `mount ${mount}, idmap`, mount, '', atEmptyPath, attributes, attributes.length);
}

/** Attaches a detached mount at a directory of this process's own mount namespace. */
export function attachMount(kernel: Kernel, mount: Fd, directory: string): void {
  const [atCwd, fromEmptyPath] = [-100, 0x4];
  invoke(kernel, 'move_mount', `mount ${mount}, ${directory}`, mount, '', atCwd, directory, fromEmptyPath);
}

/** Detaches whatever is mounted at a directory of this process's own mount namespace; nothing there (EINVAL, ENOENT) is success. */
export function unmount(kernel: Kernel, directory: string): void {
  const [detach, noFollow] = [0x2, 0x8];
  try {
    invoke(kernel, 'umount2', directory, directory, detach | noFollow);
  } catch (error) {
    if (!(error instanceof SyscallError) || !['EINVAL', 'ENOENT'].includes(error.code)) throw error;
  }
}
