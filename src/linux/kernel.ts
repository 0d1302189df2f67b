import koffi from 'koffi';
import { SyscallError } from './errno.ts';

/** An open descriptor of this process. Whoever holds one closes it. */
export type Fd = number & { readonly brand: 'Fd' };
/** A process id in this process's own pid namespace. */
export type Pid = number & { readonly brand: 'Pid' };

/** What a call takes: a number, memory (kept alive during the call), a path or name, or a null pointer. */
export type Argument = number | bigint | Uint8Array | string | null;

/**
 * The whole native edge: the raw call by number, its result or the negative errno. Tests pass a record of their own.
 * Synchronous on purpose: an asynchronous call would run on another thread.
 */
export interface Kernel {
  syscall(number: number, ...args: readonly Argument[]): number;
  /** Where memory lies, for a pointer inside a structure; the caller keeps the memory alive. */
  address(memory: Uint8Array): bigint;
}

type CallTable = Readonly<Record<keyof typeof common | keyof typeof amd64, number>>;

/** Calls since 424 have the same number everywhere. */
const common = {
  pidfd_send_signal: 424,
  open_tree: 428,
  move_mount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  pidfd_open: 434,
  close_range: 436,
  openat2: 437,
  pidfd_getfd: 438,
  mount_setattr: 442,
} as const;

const amd64 = {
  read: 0,
  close: 3,
  ioctl: 16,
  madvise: 28,
  wait4: 61,
  fcntl: 72,
  flock: 73,
  fchown: 93,
  umount2: 166,
  openat: 257,
  ppoll: 271,
  pipe2: 293,
  memfd_create: 319,
  bpf: 321,
} as const;

const arm64: Readonly<Record<keyof typeof amd64, number>> = {
  fcntl: 25,
  ioctl: 29,
  flock: 32,
  umount2: 39,
  fchown: 55,
  openat: 56,
  close: 57,
  pipe2: 59,
  read: 63,
  ppoll: 73,
  madvise: 233,
  wait4: 260,
  memfd_create: 279,
  bpf: 280,
};

export type CallName = keyof CallTable;

export const callNumber = (name: CallName, arch: string = process.arch): number =>
  ({ ...common, ...(arch === 'arm64' ? arm64 : amd64) })[name];

/** Binds libc's `syscall`. Every argument travels as 64 bits: registers that a call does not read do no harm. */
export function loadKernel(): Kernel {
  const raw = koffi.load(null).func('syscall', 'long', Array(7).fill('int64_t'));
  return {
    syscall(number, ...args) {
      const words = args.map(word);
      const [one, two, three, four, five, six] = words.map(({ value }) => value);
      const result: unknown = raw(number, one ?? 0, two ?? 0, three ?? 0, four ?? 0, five ?? 0, six ?? 0);
      // The errno belongs to the call just made: nothing may come between.
      return result === -1 || result === -1n ? -koffi.errno() : Number(result);
    },
    address: (memory) => koffi.address(memory),
  };
}

/** The memory stays referenced by the returned record until the call is over. */
function word(argument: Argument): { readonly value: number | bigint; readonly memory?: Uint8Array } {
  if (argument === null) return { value: 0 };
  if (typeof argument === 'number' || typeof argument === 'bigint') return { value: argument };
  const memory = typeof argument === 'string' ? Buffer.from(`${argument}\0`) : argument;
  return { value: koffi.address(memory), memory };
}

/** The call's result; throws a SyscallError that names the call and `operands`, which are for people. */
export function invoke(kernel: Kernel, name: CallName, operands: string, ...args: readonly Argument[]): number {
  const result = kernel.syscall(callNumber(name), ...args);
  if (result < 0) throw new SyscallError(name, operands, -result);
  return result;
}

/** Closes each once; a descriptor that is already closed is no error, so that every way out may call it. */
export function closeAll(kernel: Kernel, ...fds: readonly (Fd | undefined)[]): void {
  for (const fd of fds) if (fd !== undefined && fd >= 0) kernel.syscall(callNumber('close'), fd);
}
