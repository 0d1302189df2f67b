import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProcessExit, SessionProcess } from '../../node-agent/session/request.ts';
import { RawTerminal } from '../../terminal/raw-terminal.ts';
import { codeOfSignal, type Host } from '../host.ts';

/** Output of a command that has ended is read to its end, but a process left in the background may keep the stream open. */
const drainMs = 2_000;
const passedOn = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** Joins the session to our own standard streams until its command has ended; its exit. */
export async function bridge(session: SessionProcess, host: Host, tty: boolean): Promise<ProcessExit> {
  using stack = new DisposableStack();
  const raw = tty ? stack.use(new RawTerminal(host as NodeJS.Process, (size) => session.resize(size))) : undefined;
  stack.use(forwardSignals(session, host, tty));
  const outputs = [
    pour(session.stdout, host.stdout, raw),
    session.stderr ? pour(session.stderr, host.stderr) : undefined,
  ];
  if (session.stdin) {
    const { stdin } = session;
    host.stdin.on('error', () => stdin.end()); // a terminal that vanished reads as EIO
    host.stdin.pipe(stdin);
    stack.defer(() => void host.stdin.unpipe(stdin).pause());
  }
  const exit = await session.exited;
  await Promise.race([Promise.all(outputs), sleep(drainMs, undefined, { ref: false })]);
  return exit;
}

/** Resolves at the end of `from`. A reader who went away (`| head`) ends the output, and with SIGPIPE the command. */
function pour(from: Readable, to: NodeJS.WriteStream, raw?: RawTerminal): Promise<void> {
  return new Promise((resolve) => {
    from.on('data', (chunk: Buffer) => raw?.saw(chunk));
    to.on('error', () => {
      from.destroy();
      resolve();
    });
    from.once('close', () => resolve()).once('end', () => resolve());
    from.pipe(to, { end: false });
  });
}

/**
 * Without a terminal of its own the command gets our signals; with one it got them as keys, and a signal to us means: end it. The
 * second one ends us at once.
 */
function forwardSignals(session: SessionProcess, host: Host, tty: boolean): Disposable {
  let seen = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (seen) host.exit(codeOfSignal(signal));
    seen = true;
    if (tty) void session.end();
    else if (!kill(host, session.pid, signal)) void session.end();
  };
  for (const signal of passedOn) host.on(signal, onSignal);
  return {
    [Symbol.dispose]: () => {
      for (const signal of passedOn) host.off(signal, onSignal);
    },
  };
}

/** The pid is the session's as long as `exited` has not settled: nobody else has reaped it. */
function kill(host: Host, pid: number, signal: NodeJS.Signals): boolean {
  try {
    return host.kill(pid, signal);
  } catch {
    return false;
  }
}
