import { fstatSync } from 'node:fs';
import { constants } from 'node:os';
import { CrashcartError, describe, reasons } from '../base/errors.ts';
import { createLogger, type Fields, type Logger } from '../base/log.ts';
import { printable } from '../base/text.ts';

/** As much of `process` as this program uses. */
export type Host = Pick<NodeJS.Process, 'stdin' | 'stdout' | 'stderr' | 'env' | 'pid' | 'on' | 'off' | 'kill' | 'exit'>;

export function say(host: Host, text: string): void {
  host.stderr.write(`crashcart: ${printable(text)}\n`);
}

/** One sentence; what lies beneath an error that is our own follows it, because there is no log to look into. */
export function complain(host: Host, caught: unknown): void {
  const error = CrashcartError.from(caught);
  const text = error.message.replace(/: see the node agent's log\.$/, '.');
  const beneath = error.cause === undefined ? '' : describe(error.cause);
  const shown =
    error.reason === reasons.Internal && beneath !== '' && !text.includes(beneath) ? `${text} (${beneath})` : text;
  say(host, shown);
}

/** `-v` says what is done, `-vv` also what the rooms below say about it; without, only warnings. */
export function loggerOf(host: Host, verbosity: number): Logger {
  const level = verbosity >= 2 ? 'debug' : verbosity === 1 ? 'info' : 'warn';
  return createLogger({}, { level, write: (line) => host.stderr.write(`crashcart: ${plain(JSON.parse(line))}\n`) });
}

function plain({ time: _time, level: _level, message, ...fields }: Fields): string {
  const rest = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`);
  return printable([String(message), ...rest].join(' '));
}

export const codeOfSignal = (signal: NodeJS.Signals): number => 128 + constants.signals[signal];

/** False where standard input was closed (`<&-`). */
export function hasInput(): boolean {
  try {
    return fstatSync(0) !== undefined;
  } catch {
    return false;
  }
}

/** Resolves when everything written before is out, or cannot get out any more. */
export function flushed(stream: NodeJS.WriteStream): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (stream.destroyed || stream.writableEnded) resolve();
  else stream.write('', () => resolve());
  return promise;
}
