import type { Readable } from 'node:stream';
import { CrashcartError, reasons } from '../base/errors.ts';

const newline = 0x0a;

/**
 * The lines of an NDJSON body, without their ends; a last line without an end is not a line (its sender was cut off).
 * Ends when the stream ends and throws what the stream throws; leaving the loop destroys the stream.
 * @throws CrashcartError Invalid for a line over `maxLineBytes`.
 */
export async function* lines(source: Readable, maxLineBytes: number): AsyncGenerator<string, void, undefined> {
  let parts: Buffer[] = [];
  let held = 0;
  for await (const chunk of source as AsyncIterable<Buffer>) {
    let at = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, at)) {
      bound(held + end - at, maxLineBytes);
      yield Buffer.concat([...parts, chunk.subarray(at, end)]).toString('utf8');
      parts = [];
      held = 0;
      at = end + 1;
    }
    held += chunk.length - at;
    bound(held, maxLineBytes);
    if (at < chunk.length) parts.push(chunk.subarray(at));
  }
}

function bound(bytes: number, maxLineBytes: number): void {
  if (bytes <= maxLineBytes) return;
  throw new CrashcartError(
    reasons.Invalid,
    `the other end of the tunnel sent a line of more than ${maxLineBytes} bytes`,
  );
}
