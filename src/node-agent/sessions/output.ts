import type { Readable } from 'node:stream';
import { limits } from '../../wire/agent-protocol.ts';
import { channels } from '../../wire/channel.ts';
import { Ring } from './ring.ts';
import type { Frame } from './sessions.ts';

/** Who reads a session's output. */
export interface Reader {
  /** True while it cannot take more; then `Output.resume` is called when it can. */
  readonly blocked: boolean;
  deliver(frame: Frame): void;
}

/** Sees all output before anybody else, and may hold it up. `Output.resume` is called when it no longer does. */
export interface Tap {
  readonly blocked: boolean;
  output(channel: number, payload: Uint8Array): void;
}

export const ringBytes = 256 * 1024;
/**
 * What can still be on its way when a command has ended: 64 KiB in each of two pipes and a read-ahead of as much on our
 * side. It has to fit, or the end of `kubectl crashcart … -- cmd` would cost the beginning.
 */
const restBytes = 512 * 1024;

interface Source {
  readonly channel: number;
  readonly stream: Readable;
  /** Read from the stream, and not taken yet because there was no room. */
  pending: Buffer | undefined;
  ended: boolean;
}

export interface OutputOptions {
  readonly stdout: Readable;
  readonly stderr?: Readable;
  readonly onBytes?: (count: number) => void;
  readonly tap?: Tap;
}

/**
 * Moves a command's output into the ring and to its readers. The command is paused, because nobody reads its pipes,
 * - while any reader, or the tap, is blocked: the slowest one governs;
 * - while the output is held (nobody has attached yet) and the ring is full.
 * Otherwise the ring overwrites its oldest bytes. Once the command has ended, the bounded rest is taken without a pause.
 */
export class Output {
  readonly #ring = new Ring(ringBytes);
  readonly #sources: readonly Source[];
  readonly #readers = new Set<Reader>();
  readonly #onBytes: (count: number) => void;
  readonly #tap: Tap | undefined;
  readonly #drained = Promise.withResolvers<void>();
  #held = true;
  #finishing = false;
  #pumping = false;

  constructor({ stdout, stderr, onBytes = () => {}, tap }: OutputOptions) {
    this.#onBytes = onBytes;
    this.#tap = tap;
    this.#sources = [this.#source(channels.stdout, stdout), ...(stderr ? [this.#source(channels.stderr, stderr)] : [])];
    this.#pump();
  }

  /** Resolves when both streams have ended and all that they gave was handed on. */
  get drained(): Promise<void> {
    return this.#drained.promise;
  }

  get readerCount(): number {
    return this.#readers.size;
  }

  /** The reader gets the ring's tail at once, then everything that comes. */
  add(reader: Reader): void {
    for (const frame of this.#ring.frames(limits.framePayloadBytes)) reader.deliver(frame);
    this.#readers.add(reader);
    this.release();
  }

  remove(reader: Reader): void {
    if (this.#readers.delete(reader)) this.#pump();
  }

  /** A reader is no longer blocked. */
  resume(): void {
    this.#pump();
  }

  /** Stops holding output for a first reader. */
  release(): void {
    this.#held = false;
    this.#pump();
  }

  /** The command has ended: what is left in its pipes is bounded, so take it whether anybody reads or not. */
  finish(): void {
    if (this.#finishing) return;
    this.#finishing = true;
    if (this.#held) this.#ring.extend(restBytes);
    this.#pump();
  }

  /** Gives up on streams that do not end. */
  abandon(): void {
    for (const source of this.#sources) {
      source.stream.destroy();
      this.#end(source);
    }
  }

  #source(channel: number, stream: Readable): Source {
    const source: Source = { channel, stream, pending: undefined, ended: false };
    const ended = () => this.#end(source);
    stream.on('readable', () => this.#pump());
    stream.on('end', ended);
    stream.on('close', ended);
    // A PTY's master fails with EIO when its last slave is closed: that is its end of file.
    stream.on('error', ended);
    return source;
  }

  #end(source: Source): void {
    source.ended = true;
    this.#pump();
  }

  #pump(): void {
    // A reader may call back while it is given a frame.
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#sources.filter((source) => this.#move(source)).length > 0);
    } finally {
      this.#pumping = false;
    }
    if (this.#sources.every(({ ended, pending }) => ended && pending === undefined)) this.#drained.resolve();
  }

  /** Moves one frame's worth from a source; says whether it did. */
  #move(source: Source): boolean {
    const room = this.#room();
    if (room === 0) return false;
    const chunk: unknown = source.pending ?? source.stream.read();
    if (!Buffer.isBuffer(chunk)) return false;
    const payload = chunk.subarray(0, room);
    source.pending = payload.length < chunk.length ? chunk.subarray(payload.length) : undefined;
    this.#tap?.output(source.channel, payload);
    this.#ring.push(source.channel, payload);
    for (const reader of this.#readers) reader.deliver({ channel: source.channel, payload });
    this.#onBytes(payload.length);
    return true;
  }

  #room(): number {
    const held = this.#held ? this.#ring.room : limits.framePayloadBytes;
    if (this.#finishing) return Math.min(held || limits.framePayloadBytes, limits.framePayloadBytes);
    if (this.#tap?.blocked) return 0;
    for (const reader of this.#readers) if (reader.blocked) return 0;
    return Math.min(held, limits.framePayloadBytes);
  }
}
