import { fchownSync } from 'node:fs';
import { neverWait, openPipe } from '../../linux/descriptors.ts';
import { closeAll, type Fd, type Kernel } from '../../linux/kernel.ts';
import { openDevpts, openTerminal, setTerminalSize, type TerminalOwner } from '../../linux/terminal.ts';
import type { ProcessRequest, TerminalSize } from './request.ts';

/** The session's standard streams, before it is known whether there will be a session. */
export interface SessionStdio {
  /** The command's ends. */
  readonly inner: readonly [Fd, Fd, Fd];
  /** Its devpts, still detached; there is one without a terminal too, for what the command opens itself. */
  readonly devpts: Fd;
  /** The supervisor's ends, by the names of native/enter.h. It never waits for one of them. */
  readonly outer: Readonly<Partial<Record<'output' | 'errors' | 'input', Fd | undefined>>>;
  /** Once the supervisor was started: closes all that is its or the command's here. Of a terminal the master stays, for `resize`. */
  handOver(): void;
  resize(size: TerminalSize): void;
  /** Closes everything. Safe twice. */
  close(): void;
}

type StdioRequest = Pick<ProcessRequest, 'tty' | 'stdin' | 'size'>;

/** `owner`: the session's user by the host's ids, who must be able to open /dev/stdout or the terminal again by name. */
export function openStdio(kernel: Kernel, request: StdioRequest, owner: TerminalOwner): SessionStdio {
  return request.tty ? terminalStdio(kernel, request, owner) : pipeStdio(kernel, request, owner);
}

function terminalStdio(kernel: Kernel, request: StdioRequest, owner: TerminalOwner): SessionStdio {
  const { devpts, master, slave } = openTerminal(kernel, owner);
  const open = new Set<Fd>([devpts, master, slave]);
  const close = (...fds: readonly Fd[]): void => {
    for (const fd of fds) if (open.delete(fd)) closeAll(kernel, fd);
  };
  neverWait(kernel, master);
  if (request.size) setTerminalSize(kernel, master, request.size);
  return {
    inner: [slave, slave, slave],
    devpts,
    outer: { output: master, input: master },
    handOver: () => close(slave, devpts),
    // The number may mean another descriptor once it is closed.
    resize: (size) => {
      if (open.has(master)) setTerminalSize(kernel, master, size);
    },
    close: () => close(...open),
  };
}

function pipeStdio(kernel: Kernel, request: StdioRequest, owner: TerminalOwner): SessionStdio {
  const opened: Fd[] = [];
  const close = (): void => closeAll(kernel, ...opened.splice(0));
  const pipe = (): { read: Fd; write: Fd } => {
    const ends = openPipe(kernel);
    opened.push(ends.read, ends.write);
    fchownSync(ends.read, owner.uid, owner.gid); // one inode: the other end too
    return ends;
  };
  try {
    const [stdin, stdout, stderr] = [pipe(), pipe(), pipe()];
    for (const end of [stdin.write, stdout.read, stderr.read]) neverWait(kernel, end);
    const devpts = openDevpts(kernel, owner.gid);
    opened.push(devpts);
    return {
      inner: [stdin.read, stdout.write, stderr.write],
      devpts,
      // Without a client's input the command reads end of file at once.
      outer: { output: stdout.read, errors: stderr.read, input: request.stdin ? stdin.write : undefined },
      handOver: close,
      resize: () => {},
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}
