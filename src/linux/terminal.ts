import { fchownSync } from 'node:fs';
import { closeAll, type Fd, invoke, type Kernel } from './kernel.ts';
import { mountAttribute, mountDetached } from './mount.ts';

const request = { setSize: 0x5414, setLock: 0x40045431, getPeer: 0x5441 } as const;
const readWrite = 0x2;
const noControllingTerminal = 0o400;
const closeOnExec = 0o2000000;

export interface Terminal extends Disposable {
  /** A devpts instance with this terminal as its number 0, still detached. */
  readonly devpts: Fd;
  readonly master: Fd;
  readonly slave: Fd;
}

export interface TerminalOwner {
  /** Host ids. */
  readonly uid: number;
  readonly gid: number;
}

/**
 * A terminal on a devpts of its own: `tty` says /dev/pts/0 inside, and no process of the container can open it by name. The peer
 * is opened from the master, never by a path. Disposing closes all three.
 */
export function openTerminal(kernel: Kernel, owner: TerminalOwner): Terminal {
  const options = { mode: '0620', ptmxmode: '0666', gid: `${owner.gid}` };
  const attributes = mountAttribute.noSuid | mountAttribute.noExec;
  const devpts = mountDetached(kernel, { type: 'devpts', options, attributes });
  let master: Fd | undefined;
  let slave: Fd | undefined;
  const flags = readWrite | noControllingTerminal | closeOnExec;
  try {
    master = invoke(kernel, 'openat', 'devpts, ptmx', devpts, 'ptmx', flags, 0) as Fd;
    invoke(kernel, 'ioctl', 'ptmx, TIOCSPTLCK', master, request.setLock, Buffer.alloc(4));
    slave = invoke(kernel, 'ioctl', 'ptmx, TIOCGPTPEER', master, request.getPeer, flags) as Fd;
    fchownSync(slave, owner.uid, owner.gid);
  } catch (error) {
    closeAll(kernel, slave, master, devpts);
    throw error;
  }
  const [openMaster, openSlave] = [master, slave];
  return {
    devpts,
    master: openMaster,
    slave: openSlave,
    [Symbol.dispose]: () => closeAll(kernel, openSlave, openMaster, devpts),
  };
}

/** Columns and rows, cut to what the kernel's 16 bits hold. */
export function setTerminalSize(kernel: Kernel, master: Fd, size: { width: number; height: number }): void {
  const clip = (value: number): number => Math.max(0, Math.min(0xffff, Math.trunc(value) || 0));
  const windowSize = Buffer.alloc(8);
  windowSize.writeUInt16LE(clip(size.height), 0);
  windowSize.writeUInt16LE(clip(size.width), 2);
  invoke(kernel, 'ioctl', `ptmx, TIOCSWINSZ ${size.width}x${size.height}`, master, request.setSize, windowSize);
}

/** A devpts for a session without a terminal: what it opens itself is its own too. */
export const openDevpts = (kernel: Kernel, gid: number): Fd =>
  mountDetached(kernel, {
    type: 'devpts',
    options: { mode: '0620', ptmxmode: '0666', gid: `${gid}` },
    attributes: mountAttribute.noSuid | mountAttribute.noExec,
  });
