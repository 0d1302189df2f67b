import type { Readable } from 'node:stream';
import { CrashcartError, reasons } from '../base/errors.ts';

/**
 * The whole body as parsed JSON; undefined for an empty one.
 * @throws CrashcartError Invalid when it is longer than `maxBytes` or no JSON; the stream is left to the caller.
 */
export async function readJson(source: Readable, maxBytes: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  // The stream must survive a body that is too long: it carries the refusal.
  for await (const chunk of source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw new CrashcartError(reasons.Invalid, `a body is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  if (length === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (cause) {
    throw new CrashcartError(reasons.Invalid, 'a body is not JSON', { cause });
  }
}
