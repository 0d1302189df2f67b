import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasErrno } from '../../linux/errno.ts';
import { closeAll, type Fd, type Kernel } from '../../linux/kernel.ts';
import { pidfdHasExited, signalPidfd, waitPidfd } from '../../linux/pidfd.ts';
import type { SessionMemory, Told } from './memory.ts';
import type { ProcessExit } from './request.ts';

/** A supervisor, whether this process started it or an earlier one. All descriptors are the follower's from then on. */
export interface SupervisorEnds {
  readonly memory: SessionMemory;
  /** The read end of the pipe on which it wakes us, and the write end of the one on which we wake it. */
  readonly waker: Fd;
  readonly poker: Fd;
  /** Of the supervisor itself, and of the container's first process. */
  readonly pidfd: Fd;
  readonly target: Fd;
  /** Another process started it, so its end may be long past: then the time of it is told. */
  readonly taken?: boolean;
}

export interface Followed {
  /** Never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** The supervisor has ended: what is in the memory is all there will be. */
  readonly gone: boolean;
  onChange(listener: () => void): () => void;
  poke(): void;
  /** Ends the supervisor, and with it a command that still runs. Resolves when it is gone and nothing of it is open here. Safe twice. */
  abandon(): Promise<void>;
}

/** With a container's first process its pid namespace ends, our command first: so long we wait to see whether that was the reason. */
const containerEndWindowMs = 200;

export function followSupervisor(kernel: Kernel, ends: SupervisorEnds): Followed {
  const { memory, waker, poker, pidfd, target, taken = false } = ends;
  const listeners = new Set<() => void>();
  const exited = Promise.withResolvers<ProcessExit>();
  let gone = false;
  let explained = false;
  const socket = new Socket({ fd: waker, readable: true, writable: false });
  const look = (): void => {
    const told = memory.told();
    if (told.exit && !explained) {
      explained = true;
      void explain(kernel, told, target, taken).then(exited.resolve);
    }
    for (const listener of listeners) listener();
  };
  socket.on('data', look);
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const finish = async (): Promise<void> => {
    gone = true;
    look();
    // Killed itself: the command dies with it (PR_SET_PDEATHSIG).
    if (!explained) exited.resolve({ code: 137, signal: 'SIGKILL' });
    socket.destroy();
    await closed;
    await exited.promise;
    closeAll(kernel, poker, pidfd, target);
  };
  const hurry = new AbortController();
  const finished = waitPidfd(kernel, pidfd, hurry.signal)
    .catch(() => untilExited(kernel, pidfd))
    .then(finish);
  // What came before we listened.
  queueMicrotask(look);
  return {
    exited: exited.promise,
    get gone() {
      return gone;
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    poke: () => {
      if (!gone) wake(poker);
    },
    abandon: async () => {
      if (!gone) signalPidfd(kernel, pidfd, 'SIGKILL');
      hurry.abort();
      await finished;
    },
  };
}

/** One that was killed just now. */
async function untilExited(kernel: Kernel, pidfd: Fd): Promise<void> {
  while (!pidfdHasExited(kernel, pidfd)) await sleep(1);
}

/** A full pipe wakes as well. */
function wake(poker: Fd): void {
  try {
    writeSync(poker, 'p');
  } catch (error) {
    if (!hasErrno(error, 'EAGAIN', 'EPIPE', 'EBADF')) throw error;
  }
}

async function explain(kernel: Kernel, told: Told, target: Fd, taken: boolean): Promise<ProcessExit> {
  const { exit, targetExited, leaseOver } = told;
  if (exit === undefined) throw new Error('explain: the command has not ended');
  const signal = signalName(exit.signal);
  const known = {
    code: exit.code,
    ...(signal === undefined ? {} : { signal }),
    ...(leaseOver ? { leaseOver } : {}),
    ...(taken ? { at: new Date(exit.atMs).toISOString() } : {}),
  };
  if (targetExited) return { ...known, containerExited: true };
  if (signal !== 'SIGKILL' || leaseOver) return known;
  for (const deadline = Date.now() + containerEndWindowMs; Date.now() < deadline; await sleep(5)) {
    if (pidfdHasExited(kernel, target)) return { ...known, containerExited: true };
  }
  return known;
}

function signalName(signal: number): string | undefined {
  if (signal === 0) return undefined;
  return Object.entries(constants.signals).find(([, value]) => value === signal)?.[0] ?? `SIG${signal}`;
}
