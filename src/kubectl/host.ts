import { fstatSync } from 'node:fs';
import { constants } from 'node:os';
import { describe } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { Ends } from './new-session.ts';

/** As much of `process` as the verbs use; a test brings its own streams. */
export type Host = Pick<NodeJS.Process, 'stdin' | 'stdout' | 'stderr' | 'env' | 'pid' | 'on' | 'off' | 'kill' | 'exit'>;

export function endsOf({ stdin, stdout }: Host): Ends {
  return {
    stdinIsTerminal: Boolean(stdin.isTTY),
    stdoutIsTerminal: Boolean(stdout.isTTY),
    stdinIsData: !stdin.isTTY && isData(stdin.fd),
  };
}

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

/** One dim line on standard error: what was chosen, or how to come back. Standard output is the command's alone. */
export function note(host: Host, text: string): void {
  const safe = printable(text);
  host.stderr.write(coloured(host) ? `\x1b[2m${safe}\x1b[22m\n` : `${safe}\n`);
}

export function complain(host: Host, caught: unknown): void {
  const text = printable(caught instanceof Error ? caught.message || describe(caught) : String(caught));
  host.stderr.write(coloured(host) ? `\x1b[31merror:\x1b[39m ${text}\n` : `error: ${text}\n`);
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
