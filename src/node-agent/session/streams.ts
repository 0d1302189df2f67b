import { Socket, type SocketConstructorOpts } from 'node:net';
import { Duplex, type Readable, type Writable } from 'node:stream';
import { ReadStream } from 'node:tty';
import { hasErrno } from '../../linux/errno.ts';
import type { Fd } from '../../linux/kernel.ts';

/** What the terminal's queue holds before a writer has to wait. */
const highWaterMark = 64 * 1024;

/** The streams own their descriptors: they close when the streams end or are destroyed. */
export interface SessionStreams {
  readonly stdout: Readable;
  readonly stderr?: Readable;
  readonly stdin?: Writable;
}

/**
 * Both directions of a PTY master. A session's end is EIO for the reader (every slave closed): here it is the end of the stream, and for the
 * writer nothing at all. Ending the writing side does nothing, because a terminal has no end of file but Ctrl-D.
 */
export function terminalStreams(master: Fd): Required<Pick<SessionStreams, 'stdout' | 'stdin'>> {
  // Node's tty stream writes too (libuv's handle has both directions); its type says so only for sockets.
  const both: SocketConstructorOpts & { highWaterMark: number } = { highWaterMark, readable: true, writable: true };
  const tty = new ReadStream(master, both);
  const terminal = new Duplex({
    highWaterMark,
    allowHalfOpen: true,
    emitClose: true,
    read: () => tty.resume(),
    write: (chunk: Buffer, _encoding, done) => {
      if (tty.destroyed) done();
      else tty.write(chunk, () => done());
    },
    final: (done) => done(),
    destroy: (error, done) => {
      // Only then is the descriptor closed.
      if (tty.closed) done(error);
      else tty.once('close', () => done(error)).destroy();
    },
  });
  tty.on('data', (chunk: Buffer) => {
    if (!terminal.push(chunk)) tty.pause();
  });
  const end = (): void => void (terminal.readableEnded || terminal.destroyed || terminal.push(null));
  tty.on('error', (error) => {
    tty.destroy();
    if (hasErrno(error, 'EIO', 'ECANCELED')) end();
    else terminal.destroy(error);
  });
  tty.on('end', end);
  tty.on('close', end);
  return { stdout: terminal, stdin: terminal };
}

/** The agent's ends of the three pipes; a command that stops reading its input (EPIPE) is no error of ours. */
export function pipeStreams(ends: {
  readonly stdin: Fd | undefined;
  readonly stdout: Fd;
  readonly stderr: Fd;
}): SessionStreams {
  const output = (fd: Fd): Readable => new Socket({ fd, readable: true, writable: false });
  const stdin = ends.stdin === undefined ? undefined : inputStream(ends.stdin);
  return { stdout: output(ends.stdout), stderr: output(ends.stderr), ...(stdin ? { stdin } : {}) };
}

function inputStream(fd: Fd): Writable {
  const socket = new Socket({ fd, readable: false, writable: true });
  socket.on('error', () => socket.destroy());
  return socket;
}
