import { fchownSync } from 'node:fs';
import { openPipe } from '../../linux/descriptors.ts';
import { closeAll, type Fd, type Kernel } from '../../linux/kernel.ts';
import { openDevpts, openTerminal, setTerminalSize, type TerminalOwner } from '../../linux/terminal.ts';
import type { ProcessRequest, TerminalSize } from './request.ts';
import { pipeStreams, type SessionStreams, terminalStreams } from './streams.ts';

/** The session's standard streams, before it is known whether there will be a session. */
export interface SessionStdio {
  /** The command's ends. */
  readonly inner: readonly [Fd, Fd, Fd];
  /** Its devpts, still detached; there is one without a terminal too, for what the command opens itself. */
  readonly devpts: Fd;
  readonly master?: Fd;
  /** Once the program was started: closes the command's ends here, and makes streams of ours. They own their descriptors from now on. */
  open(): SessionStreams;
  resize(size: TerminalSize): void;
  /** Closes everything that `open` did not hand over. Safe twice. */
  abandon(): void;
}

type StdioRequest = Pick<ProcessRequest, 'tty' | 'stdin' | 'size'>;

/** `owner`: the session's user by the host's ids, who must be able to open /dev/stdout or the terminal again by name. */
export function openStdio(kernel: Kernel, request: StdioRequest, owner: TerminalOwner): SessionStdio {
  return request.tty ? terminalStdio(kernel, request, owner) : pipeStdio(kernel, request, owner);
}

function terminalStdio(kernel: Kernel, request: StdioRequest, owner: TerminalOwner): SessionStdio {
  const terminal = openTerminal(kernel, owner);
  const { devpts, master, slave } = terminal;
  let state: 'prepared' | 'open' | 'closed' = 'prepared';
  if (request.size) setTerminalSize(kernel, master, request.size);
  return {
    inner: [slave, slave, slave],
    devpts,
    master,
    open: () => {
      state = 'open';
      closeAll(kernel, slave, devpts);
      const streams = terminalStreams(master);
      streams.stdout.once('close', () => {
        state = 'closed';
      });
      return streams;
    },
    // The number may mean another descriptor once the stream has closed it.
    resize: (size) => {
      if (state !== 'closed') setTerminalSize(kernel, master, size);
    },
    abandon: () => {
      if (state === 'prepared') terminal[Symbol.dispose]();
      state = 'closed';
    },
  };
}

function pipeStdio(kernel: Kernel, request: StdioRequest, owner: TerminalOwner): SessionStdio {
  const opened: Fd[] = [];
  let left = true;
  const abandon = (): void => {
    if (left) closeAll(kernel, ...opened);
    left = false;
  };
  const pipe = (): { read: Fd; write: Fd } => {
    const ends = openPipe(kernel);
    opened.push(ends.read, ends.write);
    fchownSync(ends.read, owner.uid, owner.gid); // one inode: the other end too
    return ends;
  };
  try {
    const [stdin, stdout, stderr] = [pipe(), pipe(), pipe()];
    const devpts = openDevpts(kernel, owner.gid);
    opened.push(devpts);
    return {
      inner: [stdin.read, stdout.write, stderr.write],
      devpts,
      open: () => {
        left = false;
        closeAll(kernel, stdin.read, stdout.write, stderr.write, devpts);
        // Without a client's input the command reads end of file at once.
        if (!request.stdin) closeAll(kernel, stdin.write);
        return pipeStreams({
          stdin: request.stdin ? stdin.write : undefined,
          stdout: stdout.read,
          stderr: stderr.read,
        });
      },
      resize: () => {},
      abandon,
    };
  } catch (error) {
    abandon();
    throw error;
  }
}
