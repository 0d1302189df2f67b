import koffi from 'koffi';
import { CrashcartError, reasons } from '../base/errors.ts';
import { duplicate } from './descriptors.ts';
import { hasErrno, SyscallError } from './errno.ts';
import { closeAll, type Fd, invoke, type Kernel, type Pid } from './kernel.ts';

export interface Program {
  readonly path: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Its descriptors 0, 1, 2 and so on. It gets no other. */
  readonly descriptors: readonly number[];
}

export interface Child {
  readonly pid: Pid;
  /** Ended, and reaped: from then on the pid may be another's. */
  readonly ended: Promise<void>;
  kill(): void;
  /** Kills it, and does not wait: this process may end before it. It is reaped all the same, but who awaits `ended` then may wait for ever. */
  giveUp(): void;
}

/**
 * Starts programs by posix_spawn. child_process forks, which copies this process's page tables: 3 ms with 100 MB, and every page that is
 * written afterwards costs again. Here the child borrows our memory until it has its own: 0.2 ms.
 */
export class Children {
  readonly #kernel: Kernel;
  readonly #libc = bindLibc();
  readonly #running = new Map<Pid, { readonly resolve: () => void; waitedFor: boolean }>();
  readonly #look = (): void => {
    for (const pid of this.#running.keys()) this.#reap(pid);
    this.#watch();
  };
  #timer: NodeJS.Timeout | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** @throws SyscallError posix_spawn, also when the program cannot be executed */
  start({ path, argv, env, descriptors }: Program): Child {
    const kernel = this.#kernel;
    const raised: Fd[] = [];
    const actions = Buffer.alloc(fileActionsBytes);
    // Beyond all places that are filled, so that none is overwritten before it was copied.
    const beyond = (fd: number): number => {
      if (fd >= descriptors.length) return fd;
      const copy = duplicate(kernel, fd, descriptors.length);
      raised.push(copy);
      return copy;
    };
    const { posixSpawn, initialize, addCopy, destroy } = this.#libc;
    succeed('posix_spawn_file_actions_init', path, initialize(actions));
    try {
      for (const [place, fd] of descriptors.entries())
        succeed('posix_spawn_file_actions_adddup2', `${fd}, ${place}`, addCopy(actions, beyond(fd), place));
      const pid = Buffer.alloc(4);
      const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
      succeed('posix_spawn', path, posixSpawn(pid, path, actions, null, pointers(argv), pointers(words)));
      return this.adopt(pid.readInt32LE(0) as Pid);
    } finally {
      destroy(actions);
      closeAll(kernel, ...raised);
    }
  }

  /** A child of ours that another one made for us (CLONE_PARENT). */
  adopt(pid: Pid): Child {
    const { promise, resolve } = Promise.withResolvers<void>();
    const child = { resolve, waitedFor: true };
    this.#running.set(pid, child);
    this.#watch();
    const kill = (): void => {
      // Once it was reaped its pid may be another's.
      if (this.#running.get(pid) === child) process.kill(pid, 'SIGKILL');
    };
    return {
      pid,
      ended: promise,
      kill,
      giveUp: () => {
        kill();
        child.waitedFor = false;
        this.#watch();
      },
    };
  }

  #reap(pid: Pid): void {
    const kernel = this.#kernel;
    try {
      if (invoke(kernel, 'wait4', `${pid}, WNOHANG`, pid, null, waitWithoutHanging, null) === 0) return;
    } catch (error) {
      if (!hasErrno(error, 'ECHILD')) throw error; // somebody else has reaped it
    }
    this.#running.get(pid)?.resolve();
    this.#running.delete(pid);
  }

  /** The signal says it at once; the timer is for threads that get none, and keeps the process alive for who waits. */
  #watch(): void {
    const wanted = this.#running.size > 0;
    if (wanted && this.#timer === undefined) {
      this.#timer = setInterval(this.#look, lookIntervalMs);
      process.on('SIGCHLD', this.#look);
      // Its signal may have come before: then only the timer would tell, a quarter of a second later.
      setImmediate(this.#look);
    } else if (!wanted && this.#timer !== undefined) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      process.off('SIGCHLD', this.#look);
    }
    if ([...this.#running.values()].some(({ waitedFor }) => waitedFor)) this.#timer?.ref();
    else this.#timer?.unref();
  }
}

const lookIntervalMs = 250;
const waitWithoutHanging = 1;
/** 80 with glibc and with musl. */
const fileActionsBytes = 256;

interface Libc {
  posixSpawn(pid: Buffer, path: string, actions: Buffer, attributes: null, argv: Buffer, env: Buffer): number;
  initialize(actions: Buffer): number;
  addCopy(actions: Buffer, from: number, to: number): number;
  destroy(actions: Buffer): number;
}

/** These answer the errno instead of setting it. */
function bindLibc(): Libc {
  const library = koffi.load(null);
  const actions = 'posix_spawn_file_actions';
  return {
    posixSpawn: library.func('posix_spawn', 'int', ['void *', 'str', 'void *', 'void *', 'void *', 'void *']),
    initialize: library.func(`${actions}_init`, 'int', ['void *']),
    addCopy: library.func(`${actions}_adddup2`, 'int', ['void *', 'int', 'int']),
    destroy: library.func(`${actions}_destroy`, 'int', ['void *']),
  };
}

function succeed(call: string, operands: string, errno: number): void {
  if (errno !== 0) throw new SyscallError(call, operands, errno);
}

/** A null-terminated array of C strings, with the strings behind it in the same memory. */
function pointers(texts: readonly string[]): Buffer {
  const inBytes = texts.map((text) => {
    if (text.includes('\0')) throw new CrashcartError(reasons.Invalid, 'An argument contains a NUL character.');
    return Buffer.from(`${text}\0`);
  });
  const table = 8 * (texts.length + 1);
  const memory = Buffer.concat([Buffer.alloc(table), ...inBytes]);
  const address = koffi.address(memory);
  let at = table;
  for (const [index, bytes] of inBytes.entries()) {
    memory.writeBigUInt64LE(address + BigInt(at), 8 * index);
    at += bytes.length;
  }
  return memory;
}
