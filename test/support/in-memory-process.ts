import { PassThrough } from 'node:stream';
import { outputBytes } from '../../src/node-agent/session/memory.ts';
import type {
  InputSender,
  OutputPiece,
  ProcessExit,
  SessionInput,
  SessionOutput,
  SessionProcess,
  TerminalSize,
} from '../../src/node-agent/session/request.ts';
import { channels } from '../../src/wire/channel.ts';

/** A session's process without a process: the test plays the command. Pipes hold 64 KiB each, as the kernel's do. */
export class InMemoryProcess implements SessionProcess {
  readonly pid = 4711;
  readonly stdout = new PassThrough({ highWaterMark: 64 * 1024 });
  readonly stderr?: PassThrough;
  readonly stdin = new PassThrough({ highWaterMark: 64 * 1024 });
  readonly output: InMemoryOutput;
  readonly input: InMemoryInput;
  readonly sizes: TerminalSize[] = [];
  readonly leases: number[] = [];
  noted = 0;
  visited = false;
  /** Answers of the next cleanups, `undefined` for a clean one. */
  readonly leftovers: (string | undefined)[] = [];
  cleanups = 0;
  idleForMs = 0;
  readonly #exited = Promise.withResolvers<ProcessExit>();

  constructor({ tty = false }: { tty?: boolean } = {}) {
    if (!tty) this.stderr = new PassThrough({ highWaterMark: 64 * 1024 });
    this.output = new InMemoryOutput(
      new Map([[channels.stdout, this.stdout], ...(this.stderr ? ([[channels.stderr, this.stderr]] as const) : [])]),
    );
    this.input = new InMemoryInput(this.stdin, this.output);
  }

  get exited(): Promise<ProcessExit> {
    return this.#exited.promise;
  }

  /** The command ends by itself, its pipes with it. */
  exit(exit: ProcessExit): void {
    this.#exited.resolve(exit);
    this.output.finishing = true;
    this.stdout.end();
    this.stderr?.end();
  }

  resize(size: TerminalSize): void {
    this.sizes.push(size);
  }

  idleMs(): number {
    return this.idleForMs;
  }

  renew(leaseMs: number): void {
    this.leases.push(leaseMs);
  }

  visit(): void {
    this.visited = true;
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

/** What a supervisor does with its ring, with the same rules, of a test's pipes. */
export class InMemoryOutput implements SessionOutput {
  readonly #pieces: OutputPiece[] = [];
  readonly #listeners = new Set<() => void>();
  readonly #open: Set<PassThrough>;
  readonly #sources: ReadonlyMap<number, PassThrough>;
  #head = 0;
  kept: number | undefined = 0;
  finishing = false;
  disposed = false;

  constructor(sources: ReadonlyMap<number, PassThrough>) {
    this.#sources = sources;
    this.#open = new Set(sources.values());
    for (const pipe of sources.values()) {
      pipe.on('readable', () => this.#take());
      pipe.on('close', () => this.#end(pipe));
      pipe.on('end', () => this.#end(pipe));
      pipe.on('error', () => this.#end(pipe));
    }
  }

  get head(): number {
    return this.#head;
  }

  get ended(): boolean {
    return this.#open.size === 0;
  }

  get tail(): number {
    return this.#pieces[0]?.position ?? this.#head;
  }

  read(position: number, maxBytes: number): OutputPiece | undefined {
    const piece = this.#pieces.find((each) => each.position + each.payload.length > position);
    if (!piece) return undefined;
    const skip = Math.max(0, position - piece.position);
    return {
      position: piece.position + skip,
      channel: piece.channel,
      payload: piece.payload.subarray(skip, skip + maxBytes),
    };
  }

  keep(position: number | undefined): void {
    this.kept = position;
    this.#take();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  [Symbol.dispose](): void {
    this.disposed = true;
  }

  #take(): void {
    const before = this.#head;
    for (const [channel, pipe] of this.#sources) {
      for (;;) {
        const room =
          this.kept === undefined || this.finishing ? Number.POSITIVE_INFINITY : outputBytes - (this.#head - this.kept);
        if (room <= 0) break;
        const payload = (pipe.read(Math.min(room, pipe.readableLength) || undefined) ?? undefined) as
          | Buffer
          | undefined;
        if (payload === undefined) break;
        this.#pieces.push({ position: this.#head, channel, payload });
        this.#head += payload.length;
      }
    }
    if (this.kept === undefined) {
      while (this.#pieces[0] && this.#pieces[0].position + this.#pieces[0].payload.length < this.#head - outputBytes) {
        this.#pieces.shift();
      }
    }
    if (this.#head !== before) queueMicrotask(() => this.changed());
  }

  #end(pipe: PassThrough): void {
    this.#open.delete(pipe);
    queueMicrotask(() => this.changed());
  }
}

/** The command's input is full when its pipe is. */
export class InMemoryInput implements SessionInput {
  readonly #pipe: PassThrough;
  readonly #received = new Map<bigint, number>();

  constructor(pipe: PassThrough, output: InMemoryOutput) {
    this.#pipe = pipe;
    pipe.on('drain', () => output.changed());
    pipe.on('close', () => output.changed());
    pipe.on('error', () => output.changed());
  }

  get open(): boolean {
    return !this.#pipe.destroyed && !this.#pipe.writableEnded;
  }

  write(payload: Uint8Array, sender?: InputSender): number {
    if (this.#pipe.writableNeedDrain) return 0;
    this.#pipe.write(payload);
    if (sender) this.#received.set(sender.id, sender.received + payload.length);
    return payload.length;
  }

  receivedFrom(id: bigint): number | undefined {
    return this.#received.get(id);
  }

  end(): void {
    this.#pipe.end();
  }
}

/** Writes as a blocking command does: resolves when the pipe took all of it. */
export async function writeAll(pipe: PassThrough, data: Uint8Array, chunkBytes = 16 * 1024): Promise<void> {
  for (let at = 0; at < data.length; at += chunkBytes) {
    if (!pipe.write(data.subarray(at, at + chunkBytes))) await new Promise((resolve) => pipe.once('drain', resolve));
  }
}
