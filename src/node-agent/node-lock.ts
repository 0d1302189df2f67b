import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../base/log.ts';
import { hasErrno } from '../linux/errno.ts';
import { invoke, type Kernel } from '../linux/kernel.ts';

const exclusive = 2;
const dontWait = 4;
const lookEveryMs = 100;

/**
 * One agent a node has the sessions: while an update lets two overlap, the newer stands by until the older has let go. The kernel lets go for one
 * that was killed. Undefined when `signal` came first.
 */
export async function lockNode(
  kernel: Kernel,
  stateDirectory: string,
  log: Logger,
  signal: AbortSignal,
): Promise<Disposable | undefined> {
  mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
  const fd = openSync(join(stateDirectory, 'lock'), 'a', 0o600);
  for (let waited = false; !signal.aborted; ) {
    try {
      invoke(kernel, 'flock', 'lock, LOCK_EX | LOCK_NB', fd, exclusive | dontWait);
      return { [Symbol.dispose]: () => closeSync(fd) };
    } catch (error) {
      if (!hasErrno(error, 'EAGAIN', 'EWOULDBLOCK')) throw error;
      if (!waited) log.info('another agent has the sessions of this node: standing by');
      waited = true;
      await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
    }
  }
  closeSync(fd);
  return undefined;
}
