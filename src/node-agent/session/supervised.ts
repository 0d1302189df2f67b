import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { CrashcartError, reasons } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { duplicate, openPipe } from '../../linux/descriptors.ts';
import { hasErrno } from '../../linux/errno.ts';
import { closeAll, type Fd, type Kernel } from '../../linux/kernel.ts';
import { pidfdHasExited } from '../../linux/pidfd.ts';
import { type Entry, type EntryArguments, runEntry } from './entry.ts';
import { type EntryLine, entryError } from './entry-line.ts';
import type { ProcessExit } from './request.ts';

/** A command behind its gate, seen through what its supervisor reports. */
export interface Supervised {
  /** Host pid of the command, waiting at its gate; rejects when entering failed. */
  readonly started: Promise<number>;
  /** Never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** Lets the command run. */
  letGo(): void;
  /** Resolves when the supervisor has ended and nothing of it is open here. */
  readonly closed: Promise<void>;
  /** Ends the supervisor, and with it a command that was not let go. Safe twice. */
  abandon(): Promise<void>;
}

export interface SuperviseDeps {
  readonly kernel: Kernel;
  readonly entry: Entry;
  readonly log: Logger;
}

/** Entering takes milliseconds; a file system of the container that does not answer must not hold a session for ever. */
const startTimeoutMs = 20_000;
/** With a container's first process its pid namespace ends, our command first: so long we wait to see whether that was the reason. */
const containerEndWindowMs = 200;

export function superviseCommand(
  deps: SuperviseDeps,
  target: { readonly pidfd: number },
  request: Omit<EntryArguments, 'verb'>,
): Supervised {
  const { kernel, entry, log } = deps;
  const gate = openPipe(kernel);
  let waiting = true;
  const closeGate = (): void => {
    if (waiting) closeAll(kernel, gate.write);
    waiting = false;
  };
  const descriptors = { ...request.descriptors, gate: gate.read };
  // Looked at after the end, when the target's owner may have closed his.
  const pidfd = duplicate(kernel, target.pidfd);
  const { child, lines, closed } = attempt(
    () => runEntry(kernel, entry, { ...request, verb: 'run', descriptors }),
    () => {
      closeGate();
      closeAll(kernel, gate.read, pidfd);
    },
  );
  closeAll(kernel, gate.read);

  const started = Promise.withResolvers<number>();
  const exited = Promise.withResolvers<ProcessExit>();
  started.promise.catch(() => {}); // whoever awaits it sees it; nobody may be waiting yet
  const timer = setTimeout(() => {
    started.reject(
      new CrashcartError(
        reasons.Timeout,
        'Entering the container took too long: one of its file systems does not answer.',
      ),
    );
    child.kill('SIGKILL');
  }, startTimeoutMs);
  const follow = async (): Promise<void> => {
    let containerExited = false;
    for await (const line of lines) {
      if (line.type === 'started') started.resolve(line.pid);
      else if (line.type === 'error') started.reject(entryError(line));
      else if (line.type === 'target-exited') containerExited = true;
      else if (line.type === 'warning') log.warn('crashcart-enter', { detail: line.detail });
      else if (line.type === 'exited') exited.resolve(await explain(kernel, line, containerExited, pidfd));
      if (line.type === 'started') clearTimeout(timer);
    }
  };
  const finish = (): void => {
    clearTimeout(timer);
    started.reject(
      new CrashcartError(
        reasons.Internal,
        "crashcart-enter ended before the command started: see the node agent's log.",
      ),
    );
    // The supervisor itself was killed: the command dies with it (PR_SET_PDEATHSIG).
    exited.resolve({ code: 137, signal: 'SIGKILL' });
    closeGate();
    closeAll(kernel, pidfd);
  };
  const finished = follow().then(finish, finish);
  const allClosed = Promise.all([closed, finished]).then(() => {});
  return {
    started: started.promise,
    exited: exited.promise,
    closed: allClosed,
    letGo: () => {
      if (waiting) open(gate.write);
      closeGate();
    },
    abandon: async () => {
      closeGate();
      child.kill('SIGKILL');
      await allClosed;
    },
  };
}

/** EPIPE: it was ended while it waited, as its exit tells. */
function open(gate: Fd): void {
  try {
    writeSync(gate, '\n');
  } catch (error) {
    if (!hasErrno(error, 'EPIPE')) throw error;
  }
}

function attempt<T>(body: () => T, onError: () => void): T {
  try {
    return body();
  } catch (error) {
    onError();
    throw error;
  }
}

async function explain(
  kernel: Kernel,
  line: Extract<EntryLine, { type: 'exited' }>,
  containerExited: boolean,
  pidfd: Fd,
): Promise<ProcessExit> {
  const exit = { code: line.code, ...(line.signal === undefined ? {} : { signal: line.signal }) };
  if (containerExited) return { ...exit, containerExited };
  if (line.signal !== 'SIGKILL') return exit;
  for (const deadline = Date.now() + containerEndWindowMs; Date.now() < deadline; await sleep(5)) {
    if (pidfdHasExited(kernel, pidfd)) return { ...exit, containerExited: true };
  }
  return exit;
}
