import { closeSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { type Child, Children, type Program } from '../../linux/children.ts';
import { keepInheritedDescriptors, openPipe, sealProgram } from '../../linux/descriptors.ts';
import { hasErrno } from '../../linux/errno.ts';
import { closeAll, type Kernel, type Pid } from '../../linux/kernel.ts';
import { type EntryLine, parseEntryLine } from './entry-line.ts';
import { type DescriptorLists, type DescriptorName, type EntryValues, encodeRequest } from './entry-request.ts';

/** crashcart-enter, ready to run: sealed in memory, so that its file can be neither changed nor caught by a container. */
export interface Entry extends Disposable {
  readonly path: string;
  readonly children: Children;
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
    children: new Children(kernel),
    renew: () => {
      const next = sealProgram(kernel, program, 'crashcart-enter');
      closeAll(kernel, sealed);
      sealed = next;
    },
    [Symbol.dispose]: () => closeAll(kernel, sealed),
  };
}

/** What the program is told; the meaning of each stands in native/enter.h. All lists are of descriptors of ours. */
export interface EntryArguments extends DescriptorLists {
  readonly verb: 'run' | 'place' | 'remove';
  /** Inherited in this order, from `firstDescriptor` on. Those that the program has no name for it only holds, for the next agent. */
  readonly descriptors: Readonly<Partial<Record<DescriptorName | 'waker' | 'poker', number | undefined>>>;
  readonly values: EntryValues;
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Standard input, output and error of the command; left out: none. */
  readonly stdio?: readonly [number, number, number];
}

/** Entering takes milliseconds; a file system of the container that does not answer must not hold anybody for ever. */
export const entryTimeoutMs = 20_000;

/** Standard streams, then status. */
export const firstDescriptor = 4;

/** A running crashcart-enter. Its lines come in order; the list ends with the program. */
export interface RunningEntry {
  readonly pid: Pid;
  readonly lines: AsyncIterable<EntryLine>;
  /** The program has ended, or was given up, and nothing of it is open here any more. */
  readonly closed: Promise<void>;
  /** Once it was reaped. */
  readonly ended: Promise<void>;
  /** Kills it; resolves when it has ended and nothing of it is open here. For one that does nothing that could hang. */
  end(): Promise<void>;
  /**
   * Kills it and hears nothing of it any more. No SIGKILL ends a process that waits for a file system (FUSE) whose server has taken the question and
   * does not answer: it goes when the server does, and nobody waits for that.
   */
  giveUp(): void;
}

/** @throws SyscallError posix_spawn */
export function runEntry(kernel: Kernel, entry: Entry, request: EntryArguments): RunningEntry {
  const status = openPipe(kernel);
  const nothing = openSync('/dev/null', 'r+');
  const opened = [status.write];
  try {
    const { bytes, inherited } = layOut(request);
    const told = sealProgram(kernel, bytes, 'crashcart-request');
    opened.push(told);
    const streams = request.stdio ?? [nothing, nothing, nothing];
    const child = start(entry, {
      argv: ['crashcart-enter', request.verb, `${firstDescriptor + inherited.length}`, ...(request.command ?? [])],
      env: request.env ?? {},
      descriptors: [...streams, status.write, ...inherited, told],
    });
    const socket = new Socket({ fd: status.read, readable: true, writable: false });
    const given = Promise.withResolvers<void>();
    const closed = Promise.all([Promise.race([child.ended, given.promise]), closing(socket)]).then(() => {});
    const giveUp = (): void => {
      child.giveUp();
      socket.destroy();
      given.resolve();
    };
    const end = async (): Promise<void> => {
      child.kill();
      socket.destroy();
      await Promise.all([child.ended, closed]);
    };
    return { pid: child.pid, lines: readLines(socket), closed, ended: child.ended, end, giveUp };
  } catch (error) {
    closeAll(kernel, status.read);
    throw error;
  } finally {
    closeAll(kernel, ...opened);
    closeSync(nothing);
  }
}

const startTries = 5;

function start(entry: Entry, program: Omit<Program, 'path'>): Child {
  for (let tries = 1; ; tries++) {
    try {
      return entry.children.start({ path: entry.path, ...program });
    } catch (error) {
      if (!hasErrno(error, 'ETXTBSY') || entry.renew === undefined || tries === startTries) throw error;
      entry.renew();
    }
  }
}

/** Whoever stops reading early destroys the socket: an AbortError that is nobody's concern. */
const closing = (socket: Socket): Promise<void> =>
  new Promise((resolve) => socket.once('close', () => resolve()).on('error', () => {}));

/** The places of the descriptors in the child are decided here and nowhere else. */
function layOut({ descriptors, joins = [], filters = [], homes = [], values }: EntryArguments): {
  readonly bytes: Buffer;
  readonly inherited: readonly number[];
} {
  const inherited: number[] = [];
  const inherit = (fd: number): number => firstDescriptor + inherited.push(fd) - 1;
  const places = Object.fromEntries(
    Object.entries(descriptors).flatMap(([name, fd]) => (fd === undefined ? [] : [[name, inherit(fd)]])),
  );
  const lists = { joins: joins.map(inherit), filters: filters.map(inherit), homes: homes.map(inherit) };
  return { bytes: encodeRequest({ descriptors: places, ...lists, values }), inherited };
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
