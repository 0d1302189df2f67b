import { constants } from 'node:os';
import { closeAll, type Fd, invoke, type Kernel, type Pid } from './kernel.ts';

/** How often `waitPidfd` looks. libuv cannot watch a pidfd, and a blocked pool thread for each would starve file access; one look costs 0.3 µs. */
const lookIntervalMs = 50;

/** Close-on-exec. Throws a SyscallError ESRCH when there is no such process. */
export const openPidfd = (kernel: Kernel, pid: Pid): Fd => invoke(kernel, 'pidfd_open', `${pid}`, pid, 0) as Fd;

/** True once the process has ended (a zombie has). */
export function pidfdHasExited(kernel: Kernel, fd: Fd): boolean {
  const pollIn = 0x1;
  const request = Buffer.alloc(8);
  request.writeInt32LE(fd, 0);
  request.writeInt16LE(pollIn, 4);
  const now = Buffer.alloc(16);
  for (;;) {
    try {
      return invoke(kernel, 'ppoll', `pidfd ${fd}`, request, 1, now, null, 0) > 0;
    } catch (error) {
      // A child that ends at this very moment: its signal interrupts even a look that does not wait.
      if (!(error instanceof Error && 'code' in error && error.code === 'EINTR')) throw error;
    }
  }
}

/** Resolves when the process has ended; rejects with the signal's reason. */
export function waitPidfd(kernel: Kernel, fd: Fd, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      clearInterval(timer);
      signal?.removeEventListener('abort', onAbort);
      settle();
    };
    const look = (): void => {
      try {
        if (pidfdHasExited(kernel, fd)) finish(resolve);
      } catch (error) {
        finish(() => reject(error));
      }
    };
    const onAbort = (): void => finish(() => reject(signal?.reason));
    const timer = setInterval(look, lookIntervalMs);
    if (signal?.aborted) return onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    look();
  });
}

/** False when the process is gone already. */
export function signalPidfd(kernel: Kernel, fd: Fd, signal: NodeJS.Signals): boolean {
  try {
    invoke(kernel, 'pidfd_send_signal', `pidfd ${fd}, ${signal}`, fd, constants.signals[signal], null, 0);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}

/** A copy of another process's descriptor: how a new agent takes over a terminal from a supervisor. */
export const takeFd = (kernel: Kernel, pidfd: Fd, theirs: number): Fd =>
  invoke(kernel, 'pidfd_getfd', `pidfd ${pidfd}, ${theirs}`, pidfd, theirs, 0) as Fd;

/** Opens the pidfd for as long as `body` runs. */
export function withPidfd<T>(kernel: Kernel, pid: Pid, body: (fd: Fd) => T): T {
  const fd = openPidfd(kernel, pid);
  try {
    return body(fd);
  } finally {
    closeAll(kernel, fd);
  }
}
