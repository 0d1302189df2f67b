import { writeSync } from 'node:fs';
import { CrashcartError, reasons } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { duplicate, neverWait, openPipe, openWakePipe } from '../../linux/descriptors.ts';
import { hasErrno } from '../../linux/errno.ts';
import { closeAll, type Fd, type Kernel, type Pid } from '../../linux/kernel.ts';
import { openPidfd } from '../../linux/pidfd.ts';
import { type Entry, type EntryArguments, entryTimeoutMs, runEntry } from './entry.ts';
import { doesNotAnswer, entryError } from './entry-line.ts';
import { type Followed, followSupervisor } from './follow.ts';
import type { SessionMemory } from './memory.ts';

/** A command behind its gate, and its supervisor. */
export interface Supervised extends Followed {
  /** Host pid of the command, waiting at its gate; rejects when entering failed. */
  readonly started: Promise<number>;
  /** Lets the command run. From then on the supervisor outlives this process. */
  letGo(): void;
}

export interface SuperviseDeps {
  readonly kernel: Kernel;
  readonly entry: Entry;
  readonly log: Logger;
}

export function superviseCommand(
  deps: SuperviseDeps,
  session: { readonly target: { readonly pidfd: number }; readonly memory: SessionMemory },
  request: Omit<EntryArguments, 'verb'>,
): Supervised {
  const { kernel, entry, log } = deps;
  const { memory } = session;
  const gate = openPipe(kernel);
  neverWait(kernel, gate.write);
  const wake = openWakePipe(kernel);
  const poke = openWakePipe(kernel);
  // Looked at after the end, when the target's owner may have closed his.
  const target = duplicate(kernel, session.target.pidfd);
  let waiting = true;
  const closeGate = (): void => {
    if (waiting) closeAll(kernel, gate.write);
    waiting = false;
  };
  // The first ones stand at numbers that the next agent knows: takeover.ts.
  const descriptors = {
    ring: memory.fd,
    waker: wake.read,
    poker: poke.write,
    pidfd: target,
    wake: wake.write,
    poke: poke.read,
    gate: gate.read,
    ...request.descriptors,
  };
  const theirs = [gate.read, wake.write, poke.read];
  const { child, lines, closed, giveUp } = attempt(
    () => runEntry(kernel, entry, { ...request, verb: 'run', descriptors }),
    () => {
      closeGate();
      closeAll(kernel, ...theirs, wake.read, poke.write, target);
    },
  );
  closeAll(kernel, ...theirs);
  const started = Promise.withResolvers<number>();
  started.promise.catch(() => {}); // whoever awaits it sees it; nobody may be waiting yet
  const followed = follow(kernel, child.pid, { memory, waker: wake.read, poker: poke.write, target });
  const timer = setTimeout(() => {
    started.reject(doesNotAnswer());
    child.kill('SIGKILL');
  }, entryTimeoutMs);
  const listen = async (): Promise<void> => {
    for await (const line of lines) {
      if (line.type === 'started') started.resolve(line.pid);
      else if (line.type === 'error') started.reject(entryError(line));
      else if (line.type === 'warning') log.warn('crashcart-enter', { detail: line.detail });
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
    closeGate();
  };
  const finished = listen().then(finish, finish);
  return {
    started: started.promise,
    exited: followed.exited,
    get gone() {
      return followed.gone;
    },
    onChange: followed.onChange,
    poke: followed.poke,
    letGo: () => {
      // So that the supervisor sees its lease, which it would else wait for without an end.
      followed.poke();
      if (waiting) open(gate.write);
      closeGate();
    },
    abandon: async () => {
      closeGate();
      await followed.abandon();
      // Its inner half may hang and hold the status pipe.
      giveUp();
      await Promise.all([closed, finished]);
    },
  };
}

/** EPIPE: it was ended while it waited, as its exit tells. EAGAIN: a container that can trace it has filled the pipe, and so opened the gate itself. */
function open(gate: Fd): void {
  try {
    writeSync(gate, '\n');
  } catch (error) {
    if (!hasErrno(error, 'EPIPE', 'EAGAIN')) throw error;
  }
}

/** A program that could not be started has no pid: its `error` comes, and there is nobody to follow. */
function follow(
  kernel: Kernel,
  pid: number | undefined,
  ends: { readonly memory: SessionMemory; readonly waker: Fd; readonly poker: Fd; readonly target: Fd },
): Followed {
  if (pid !== undefined) return followSupervisor(kernel, { ...ends, pidfd: openPidfd(kernel, pid as Pid) });
  closeAll(kernel, ends.waker, ends.poker, ends.target);
  return {
    exited: Promise.resolve({ code: 137, signal: 'SIGKILL' }),
    gone: true,
    onChange: () => () => {},
    poke: () => {},
    abandon: async () => {},
  };
}

function attempt<T>(body: () => T, onError: () => void): T {
  try {
    return body();
  } catch (error) {
    onError();
    throw error;
  }
}
