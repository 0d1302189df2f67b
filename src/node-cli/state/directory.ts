import { closeSync, lstatSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { hasErrno } from '../../linux/errno.ts';
import { invoke, type Kernel } from '../../linux/kernel.ts';

/** Of this program alone; the node agent keeps its own elsewhere. /run is emptied by a restart of the machine, as mounts are. */
export const stateDirectory = '/run/crashcart';

/** Below the root of every cgroup hierarchy, apart from the agent's `crashcart`, whose sweep ends what it finds there. */
export const cgroupParent = '/crashcart-node';

/** Makes it, or makes sure that nobody but root can have put something there. */
export function openStateDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(directory);
  const isOurs = lstatSync(directory).isDirectory() && uid === 0 && (mode & 0o022) === 0;
  if (isOurs) return;
  throw new CrashcartError(
    reasons.Forbidden,
    `${directory} is not a directory that only root can write: look who made it, and remove it.`,
  );
}

const lock = { exclusive: 2, nonBlocking: 4 } as const;
/** Placing may have to wait 20 s for a file system of a container that does not answer. */
const lockWithinMs = 60_000;

/** One at a time on this node. The kernel gives the lock back when its holder ends, however that happens. */
export async function exclusive<T>(kernel: Kernel, directory: string, body: () => Promise<T>): Promise<T> {
  const fd = openSync(join(directory, 'lock'), 'a', 0o600);
  try {
    for (const deadline = Date.now() + lockWithinMs; !tryLock(kernel, fd); await sleep(10)) {
      if (Date.now() > deadline) {
        throw new CrashcartError(
          reasons.Timeout,
          `Another crashcart has held ${directory}/lock for ${lockWithinMs / 1000} s: see who with "fuser".`,
        );
      }
    }
    return await body();
  } finally {
    closeSync(fd);
  }
}

function tryLock(kernel: Kernel, fd: number): boolean {
  try {
    invoke(kernel, 'flock', 'lock, LOCK_EX', fd, lock.exclusive | lock.nonBlocking);
    return true;
  } catch (error) {
    if (hasErrno(error, 'EAGAIN', 'EWOULDBLOCK')) return false;
    throw error;
  }
}
