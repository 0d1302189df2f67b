import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { keepInheritedDescriptors, openPipe, sealProgram } from '../../linux/descriptors.ts';
import { hasErrno } from '../../linux/errno.ts';
import { closeAll, type Kernel } from '../../linux/kernel.ts';
import { type EntryLine, parseEntryLine } from './entry-line.ts';

/** crashcart-enter, ready to run: sealed in memory, so that its file can be neither changed nor caught by a container. */
export interface Entry extends Disposable {
  readonly path: string;
  /**
   * Another copy in place of this one. A container with CAP_SYS_PTRACE can open the file of a running copy for writing: it can write nothing, but
   * nobody can start what is open so (ETXTBSY).
   */
  renew?(): void;
}

/** `program`: its file, or its bytes. */
export function openEntry(kernel: Kernel, program: string | Uint8Array): Entry {
  keepInheritedDescriptors(kernel);
  let sealed = sealProgram(kernel, program, 'crashcart-enter');
  return {
    // By our pid, not `self`: the child looks it up after its descriptors were put in order.
    get path() {
      return `/proc/${process.pid}/fd/${sealed}`;
    },
    renew: () => {
      const next = sealProgram(kernel, program, 'crashcart-enter');
      closeAll(kernel, sealed);
      sealed = next;
    },
    [Symbol.dispose]: () => closeAll(kernel, sealed),
  };
}

/** What the program is told; the meaning of each stands in native/enter.h. */
export interface EntryArguments {
  readonly verb: 'run' | 'place' | 'remove';
  /** Inherited at numbers from 3 up, under these names. */
  readonly descriptors: Readonly<Record<string, number | undefined>>;
  /** Descriptors of the v1 cgroups to join. */
  readonly joins?: readonly number[];
  /** Descriptors of seccomp programs. */
  readonly filters?: readonly number[];
  /** Descriptors of the cgroups that the supervisor itself goes to. */
  readonly homes?: readonly number[];
  readonly values: Readonly<Record<string, string | number>>;
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Standard input, output and error of the command. */
  readonly stdio?: readonly [number, number, number];
}

/** Entering takes milliseconds; a file system of the container that does not answer must not hold anybody for ever. */
export const entryTimeoutMs = 20_000;

/** Standard streams, then status. */
export const firstDescriptor = 4;

/** A running crashcart-enter. Its lines come in order; the list ends with the program. */
export interface RunningEntry {
  readonly child: ChildProcess;
  readonly lines: AsyncIterable<EntryLine>;
  /** The program has ended, or was given up, and nothing of it is open here any more. */
  readonly closed: Promise<void>;
  /**
   * Kills it and hears nothing of it any more. No SIGKILL ends a process that waits for a file system (FUSE) whose server has taken the question and
   * does not answer: it goes when the server does, and nobody waits for that.
   */
  giveUp(): void;
}

export function runEntry(kernel: Kernel, entry: Entry, request: EntryArguments): RunningEntry {
  const status = openPipe(kernel);
  try {
    const { argv, inherited } = layOut(request);
    const streams = request.stdio ?? (['ignore', 'ignore', 'ignore'] as const);
    const child = start(entry, argv, {
      argv0: 'crashcart-enter',
      env: { ...request.env },
      stdio: [...streams, status.write, ...inherited],
      detached: true, // a signal to the agent's process group is not for the session
      cwd: '/',
    });
    const socket = new Socket({ fd: status.read, readable: true, writable: false });
    const given = Promise.withResolvers<void>();
    const closed = Promise.all([Promise.race([ended(child), given.promise]), closing(socket)]).then(() => {});
    const giveUp = (): void => {
      child.kill('SIGKILL');
      child.unref();
      socket.destroy();
      given.resolve();
    };
    return { child, lines: readLines(socket), closed, giveUp };
  } catch (error) {
    closeAll(kernel, status.read);
    throw error;
  } finally {
    closeAll(kernel, status.write);
  }
}

const startTries = 5;

function start(entry: Entry, argv: readonly string[], options: SpawnOptions): ChildProcess {
  for (let tries = 1; ; tries++) {
    try {
      return spawn(entry.path, argv, options);
    } catch (error) {
      if (!hasErrno(error, 'ETXTBSY') || entry.renew === undefined || tries === startTries) throw error;
      entry.renew();
    }
  }
}

/** A program that could not be started has an `error` instead of an `exit`. */
const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => child.once('exit', () => resolve()).once('error', () => resolve()));

/** Whoever stops reading early destroys the socket: an AbortError that is nobody's concern. */
const closing = (socket: Socket): Promise<void> =>
  new Promise((resolve) => socket.once('close', () => resolve()).on('error', () => {}));

/** Typed argv: the places of the descriptors in the child are decided here and nowhere else. */
function layOut({ verb, descriptors, joins = [], filters = [], homes = [], values, command }: EntryArguments): {
  argv: string[];
  inherited: number[];
} {
  const inherited: number[] = [];
  const inherit = (fd: number): number => firstDescriptor + inherited.push(fd) - 1;
  const named = Object.entries(descriptors).flatMap(([name, fd]) =>
    fd === undefined ? [] : [`${name}=${inherit(fd)}`],
  );
  const list = (name: string, fds: readonly number[]): string[] =>
    fds.length > 0 ? [`${name}=${fds.map(inherit).join(',')}`] : [];
  const argv = [
    verb,
    'status=3',
    ...named,
    ...list('joins', joins),
    ...list('filters', filters),
    ...list('homes', homes),
    ...Object.entries(values).map(([name, value]) => `${name}=${value}`),
    ...(command ? ['--', ...command] : []),
  ];
  return { argv, inherited };
}

/** A line is at most 1 KiB; what is longer is not from our program. */
const maxPendingBytes = 4096;

async function* readLines(socket: Socket): AsyncGenerator<EntryLine> {
  let pending = '';
  for await (const chunk of socket) {
    const parts = `${pending}${String(chunk)}`.split('\n');
    pending = (parts.pop() ?? '').slice(0, maxPendingBytes);
    for (const line of parts) yield parseEntryLine(line);
  }
}
