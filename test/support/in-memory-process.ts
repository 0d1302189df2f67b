import { PassThrough } from 'node:stream';
import type { ProcessExit, SessionProcess, TerminalSize } from '../../src/node-agent/session/request.ts';

/** A session's process without a process: the test plays the command. Pipes hold 64 KiB each, as the kernel's do. */
export class InMemoryProcess implements SessionProcess {
  readonly pid = 4711;
  readonly stdout = new PassThrough({ highWaterMark: 64 * 1024 });
  readonly stderr?: PassThrough;
  readonly stdin = new PassThrough({ highWaterMark: 64 * 1024 });
  readonly sizes: TerminalSize[] = [];
  /** Answers of the next cleanups, `undefined` for a clean one. */
  readonly leftovers: (string | undefined)[] = [];
  cleanups = 0;
  readonly #exited = Promise.withResolvers<ProcessExit>();

  constructor({ tty = false }: { tty?: boolean } = {}) {
    if (!tty) this.stderr = new PassThrough({ highWaterMark: 64 * 1024 });
  }

  get exited(): Promise<ProcessExit> {
    return this.#exited.promise;
  }

  /** The command ends by itself, its pipes with it. */
  exit(exit: ProcessExit): void {
    this.#exited.resolve(exit);
    this.stdout.end();
    this.stderr?.end();
  }

  resize(size: TerminalSize): void {
    this.sizes.push(size);
  }

  async end(): Promise<void> {
    this.exit({ code: 137, signal: 'SIGKILL' });
  }

  async cleanup(): Promise<{ readonly leftovers?: string }> {
    this.cleanups += 1;
    const leftovers = this.leftovers.shift();
    return leftovers === undefined ? {} : { leftovers };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

/** Writes as a blocking command does: resolves when the pipe took all of it. */
export async function writeAll(pipe: PassThrough, data: Uint8Array, chunkBytes = 16 * 1024): Promise<void> {
  for (let at = 0; at < data.length; at += chunkBytes) {
    if (!pipe.write(data.subarray(at, at + chunkBytes))) await new Promise((resolve) => pipe.once('drain', resolve));
  }
}
