import { waitPidfd } from '../linux/pidfd.ts';
import type { Cri } from './cri/cri.ts';
import { type ProcessDeps, startProcess } from './session/process.ts';
import { givenEnvironment } from './sessions/environment.ts';
import type { Launch } from './sessions/launch.ts';
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
    const watch = new AbortController();
    try {
      const { uid, toolbox, profile, rules, command, tty, stdin, visibility, user } = desired;
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
          env: givenEnvironment(desired, context, target.spec),
          ...(command ? { command } : {}),
          ...(user ? { user } : {}),
        },
        processes,
      );
      return {
        process,
        containerExited: new Promise((resolve) => {
          waitPidfd(kernel, target.pidfd, watch.signal).then(resolve, () => {}); // rejects only when nobody asks any more
        }),
        release: () => {
          watch.abort();
          target[Symbol.dispose]();
        },
      };
    } catch (error) {
      target[Symbol.dispose]();
      throw error;
    }
  };
}
