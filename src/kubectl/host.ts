import { fstatSync } from 'node:fs';
import { constants } from 'node:os';
import { isatty } from 'node:tty';
import { describe } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { Ends } from './new-session.ts';

/** As much of `process` as the verbs use; a test brings its own streams. */
export type Host = Pick<NodeJS.Process, 'stdin' | 'stdout' | 'stderr' | 'env' | 'pid' | 'on' | 'off' | 'kill' | 'exit'>;

/** Asks the descriptors themselves: Node's streams for them take milliseconds to make, which the API server need not wait for. */
export const endsOf = (): Ends => ({
  stdinIsTerminal: isatty(0),
  stdoutIsTerminal: isatty(1),
  stdinIsData: !isatty(0) && isData(0),
});

function isData(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    return stat.isFIFO() || stat.isSocket() || stat.isFile();
  } catch {
    // Closed before we started (`<&-`).
    return false;
  }
}

const coloured = ({ stderr, env }: Host): boolean =>
  Boolean(stderr.isTTY) && !env['NO_COLOR'] && env['TERM'] !== 'dumb';

/** Standard output or error whose reader may go away (`| head`) without that being our failure. */
export function guarded(stream: NodeJS.WriteStream): NodeJS.WriteStream {
  return stream.listenerCount('error') > 0 ? stream : stream.on('error', ignoreBrokenPipe);
}

function ignoreBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}

/** One dim line on standard error: what was chosen, or how to come back. Standard output is the command's alone. */
export function note(host: Host, text: string): void {
  const safe = printable(text);
  guarded(host.stderr).write(coloured(host) ? `\x1b[2m${safe}\x1b[22m\n` : `${safe}\n`);
}

export function complain(host: Host, caught: unknown): void {
  const text = printable(caught instanceof Error ? caught.message || describe(caught) : String(caught));
  guarded(host.stderr).write(coloured(host) ? `\x1b[31merror:\x1b[39m ${text}\n` : `error: ${text}\n`);
}

/** What a shell makes of a death by this signal. */
export const codeOfSignal = (signal: NodeJS.Signals): number => 128 + constants.signals[signal];

/** Resolves when everything written before is out, or cannot get out any more. */
export function flushed(stream: NodeJS.WriteStream): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (stream.destroyed || stream.writableEnded) resolve();
  else stream.write('', () => resolve());
  return promise;
}
