import type { Fd, Kernel } from '../linux/kernel.ts';
import { waitPidfd } from '../linux/pidfd.ts';
import type { DesiredSession } from '../wire/agent-protocol.ts';
import type { Cri } from './cri/cri.ts';
import { type ProcessDeps, startProcess } from './session/process.ts';
import type { SessionProcess } from './session/request.ts';
import { givenEnvironment } from './sessions/environment.ts';
import type { Launch, Launched } from './sessions/launch.ts';
import { agentlessMs } from './sessions/session.ts';
import type { PutContext } from './sessions/sessions.ts';
import { findTarget } from './target/find-target.ts';

export interface LauncherOptions {
  readonly cri: Pick<Cri, 'containerStatus'>;
  readonly processes: ProcessDeps;
}

/** From an order to a running command: find and pin the container, enter it, watch its end. */
export function createLauncher({ cri, processes }: LauncherOptions): Launch {
  const { kernel } = processes;
  return async (desired, context) => {
    const target = await findTarget(desired, { cri, kernel });
    try {
      const { uid, toolbox, profile, rules, command, tty, stdin, visibility, user } = desired;
      const startedAt = new Date().toISOString();
      const process = await startProcess(
        {
          uid,
          target,
          toolbox,
          profile,
          rules,
          tty,
          stdin,
          visibility,
          survival: { record: { desired, context, startedAt } satisfies SessionRecord, leaseMs: agentlessMs },
          env: givenEnvironment(desired, context, target.spec),
          ...(command ? { command } : {}),
          ...(user ? { user } : {}),
        },
        processes,
      );
      return launchedSession(kernel, process, startedAt, target.pidfd, () => target[Symbol.dispose]());
    } catch (error) {
      target[Symbol.dispose]();
      throw error;
    }
  };
}

/** What stands in a session's memory for the agent that comes next. */
export interface SessionRecord {
  readonly desired: DesiredSession;
  readonly context: PutContext;
  readonly startedAt: string;
}

/** `pidfd`: of the container's first process, closed by `close`. */
export function launchedSession(
  kernel: Kernel,
  process: SessionProcess,
  startedAt: string,
  pidfd: Fd,
  close: () => void,
): Launched {
  const watch = new AbortController();
  return {
    process,
    startedAt,
    containerExited: new Promise((resolve) => {
      waitPidfd(kernel, pidfd, watch.signal).then(resolve, () => {}); // rejects only when nobody asks any more
    }),
    release: () => {
      watch.abort();
      close();
    },
  };
}
