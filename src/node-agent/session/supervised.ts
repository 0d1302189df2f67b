import { writeSync } from 'node:fs';
import { CrashcartError, reasons } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { duplicate, neverWait, openPipe, openWakePipe } from '../../linux/descriptors.ts';
import { hasErrno } from '../../linux/errno.ts';
import { closeAll, type Fd, type Kernel, type Pid } from '../../linux/kernel.ts';
import { openPidfd } from '../../linux/pidfd.ts';
import { type Entry, type EntryArguments, entryTimeoutMs, type RunningEntry, runEntry } from './entry.ts';
import { doesNotAnswer, entryError } from './entry-line.ts';
import { type Followed, followSupervisor } from './follow.ts';
import type { SessionMemory } from './memory.ts';

/** A command behind its gate, and its supervisor. */
export interface Supervised extends Followed {
  readonly supervisor: Pid;
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

/** Resolves with the supervisor; rejects when there is none, and then nothing is left. */
export async function superviseCommand(
  deps: SuperviseDeps,
  session: { readonly target: { readonly pidfd: number }; readonly memory: SessionMemory },
  request: Omit<EntryArguments, 'verb'>,
): Promise<Supervised> {
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
  const closeOurs = (): void => {
    closeGate();
    closeAll(kernel, wake.read, poke.write, target);
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
  const running = attempt(
    () => runEntry(kernel, entry, { ...request, verb: 'run', descriptors }),
    () => {
      closeOurs();
      closeAll(kernel, ...theirs);
    },
  );
  closeAll(kernel, ...theirs);
  const { supervisor, started, finished } = listen(running, log, closeGate);
  const end = async (): Promise<void> => {
    // Its inner half may hang and hold the status pipe; itself it does nothing that could.
    await Promise.all([running.end(), finished]);
  };
  const meet = async (
    pid: Pid,
  ): Promise<{ readonly supervisorPid: Pid; readonly pidfd: Fd; readonly reaped: Promise<void> }> => {
    try {
      // First of all, for whatever fails now it has to be reaped. Until it was, which is no sooner than we wait, its pid is nobody else's.
      const reaped = pid === running.pid ? running.ended : entry.children.adopt(pid).ended;
      return { supervisorPid: pid, pidfd: openPidfd(kernel, pid), reaped };
    } catch (error) {
      await started; // if it failed, it has said why
      throw hasErrno(error, 'ESRCH') ? endedEarly() : error; // else a signal has ended its command already
    }
  };
  const { supervisorPid, pidfd, reaped } = await supervisor.then(meet).catch(async (error: unknown) => {
    await end();
    closeOurs();
    throw error;
  });
  const followed = followSupervisor(kernel, { memory, waker: wake.read, poker: poke.write, pidfd, target });
  return {
    supervisor: supervisorPid,
    started,
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
      await Promise.all([end(), reaped]);
    },
  };
}

const endedEarly = (): CrashcartError =>
  new CrashcartError(reasons.Internal, "crashcart-enter ended before the command started: see the node agent's log.");

interface Told {
  readonly supervisor: Promise<Pid>;
  readonly started: Promise<number>;
  /** Nothing more will be told. */
  readonly finished: Promise<void>;
}

function listen({ lines }: RunningEntry, log: Logger, atEnd: () => void): Told {
  const supervisor = Promise.withResolvers<Pid>();
  const started = Promise.withResolvers<number>();
  const fail = (error: CrashcartError): void => {
    for (const told of [supervisor, started]) told.reject(error);
  };
  // Whoever awaits them sees it; nobody may be waiting yet.
  for (const { promise } of [supervisor, started]) promise.catch(() => {});
  const timer = setTimeout(() => fail(doesNotAnswer()), entryTimeoutMs);
  const read = async (): Promise<void> => {
    for await (const line of lines) {
      if (line.type === 'supervisor') supervisor.resolve(line.pid as Pid);
      else if (line.type === 'started') started.resolve(line.pid);
      else if (line.type === 'error') fail(entryError(line));
      else if (line.type === 'warning') log.warn('crashcart-enter', { detail: line.detail });
      if (line.type === 'started') clearTimeout(timer);
    }
  };
  const finish = (): void => {
    clearTimeout(timer);
    fail(endedEarly());
    atEnd();
  };
  return { supervisor: supervisor.promise, started: started.promise, finished: read().then(finish, finish) };
}

/** EPIPE: it was ended while it waited, as its exit tells. EAGAIN: a container that can trace it has filled the pipe, and so opened the gate itself. */
function open(gate: Fd): void {
  try {
    writeSync(gate, '\n');
  } catch (error) {
    if (!hasErrno(error, 'EPIPE', 'EAGAIN')) throw error;
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
