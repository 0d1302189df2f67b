import { readFileSync, writeSync } from 'node:fs';
import { closeAll, type Fd, invoke, type Kernel } from './kernel.ts';

const closeOnExec = 0o2000000;
const nonBlocking = 0o4000;
const closeRangeCloexec = 0x4;
const lastFd = 0xffffffff;

/** A true pipe, both ends close-on-exec. Not a socket, which is what child_process makes: /dev/stdout could not be opened again. */
export function openPipe(kernel: Kernel): { readonly read: Fd; readonly write: Fd } {
  const ends = Buffer.alloc(8);
  invoke(kernel, 'pipe2', 'O_CLOEXEC', ends, closeOnExec);
  return { read: ends.readInt32LE(0) as Fd, write: ends.readInt32LE(4) as Fd };
}

const fcntlSetFlags = 4;

/** Whoever writes to it through this descriptor and finds it full does not wait. */
export const neverWait = (kernel: Kernel, fd: Fd): void =>
  void invoke(kernel, 'fcntl', `${fd}, F_SETFL, O_NONBLOCK`, fd, fcntlSetFlags, nonBlocking);

/** A pipe, and whoever finds it full or empty does not wait. For bytes that only wake the other end. */
export function openWakePipe(kernel: Kernel): { readonly read: Fd; readonly write: Fd } {
  const ends = Buffer.alloc(8);
  invoke(kernel, 'pipe2', 'O_CLOEXEC | O_NONBLOCK', ends, closeOnExec | nonBlocking);
  return { read: ends.readInt32LE(0) as Fd, write: ends.readInt32LE(4) as Fd };
}

/** Memory without a name, for processes that are given its descriptor. */
export const openMemory = (kernel: Kernel, name: string): Fd =>
  invoke(kernel, 'memfd_create', name, name, memfd.closeOnExec) as Fd;

/** At the start of a program: what it inherited itself must not reach a session. */
export function keepInheritedDescriptors(kernel: Kernel): void {
  invoke(kernel, 'close_range', '3.., CLOSE_RANGE_CLOEXEC', 3, lastFd, closeRangeCloexec);
}

const seals = { seal: 0x1, shrink: 0x2, grow: 0x4, write: 0x8 } as const;
const fcntlAddSeals = 1033;
const fcntlDuplicateCloexec = 1030;
const memfd = { closeOnExec: 0x1, allowSealing: 0x2 } as const;

/**
 * A program as sealed memory, to be executed as /proc/PID/fd/N: a container that gets hold of the running program's file
 * (CVE-2019-5736) holds something that nobody can write. Open until closed. `source`: its file, or the program itself.
 */
export function sealProgram(kernel: Kernel, source: string | Uint8Array, name: string): Fd {
  const program = typeof source === 'string' ? readFileSync(source) : source;
  const fd = invoke(kernel, 'memfd_create', name, name, memfd.closeOnExec | memfd.allowSealing) as Fd;
  try {
    for (let at = 0; at < program.length; ) at += writeSync(fd, program, at);
    const all = seals.seal | seals.shrink | seals.grow | seals.write;
    invoke(kernel, 'fcntl', `${name}, F_ADD_SEALS`, fd, fcntlAddSeals, all);
    return fd;
  } catch (error) {
    closeAll(kernel, fd);
    throw error;
  }
}

/** A second descriptor of the same thing, for whoever outlives the owner of the first; its number is `least` or higher. */
export const duplicate = (kernel: Kernel, fd: number, least = 3): Fd =>
  invoke(kernel, 'fcntl', `${fd}, F_DUPFD_CLOEXEC`, fd, fcntlDuplicateCloexec, least) as Fd;
