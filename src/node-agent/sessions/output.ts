import { limits } from '../../wire/agent-protocol.ts';
import { outputBytes } from '../session/memory.ts';
import type { SessionOutput } from '../session/request.ts';

/** Who reads a session's output. */
export interface Reader {
  /** What is before this position it has, for good. */
  readonly floor: number;
  /** The command waits for it. Of one that it does not wait for, output is lost when it is a whole ring behind. */
  readonly holds: boolean;
  /** There is more, or an end. */
  pump(): void;
}

/** Sees all output, and may hold it up. `Output.resume` is called when it has moved on. */
export interface Tap {
  readonly blocked: boolean;
  /** What is before this position is safe with it; undefined: it keeps nothing any more. The ring keeps the rest, for the tap of a next agent. */
  readonly position: number | undefined;
  output(channel: number, payload: Uint8Array): void;
  /** So many bytes are gone from the ring before it saw them. */
  lost(bytes: number): void;
}

/** What a client that joins is shown of what was before. */
export const tailBytes = 256 * 1024;
/** A reader's floor is passed on in steps of this: the supervisor has to be woken for each. */
const stepBytes = 64 * 1024;

export interface OutputOptions {
  readonly output: SessionOutput;
  readonly onBytes?: (count: number) => void;
  readonly tap?: Tap;
  /** Position up to which output was counted before, by an earlier agent. */
  readonly counted?: number;
}

/**
 * Who reads, and what the supervisor may write over. The command waits
 * - while the slowest reader lags a whole ring behind;
 * - while the output is held (nobody has attached yet, or the last one was cut off) and the ring is full.
 * Otherwise the oldest bytes are written over.
 */
export class Output {
  readonly log: SessionOutput;
  readonly #readers = new Set<Reader>();
  readonly #onBytes: (count: number) => void;
  readonly #stop: () => void;
  readonly #drained = Promise.withResolvers<void>();
  readonly #tap: Tap | undefined;
  /** What the tap has seen. */
  #tapped: number;
  #counted: number;
  /** Held from this position on. */
  #held: number | undefined;
  #kept: number | undefined;
  #abandoned = false;

  constructor({ output, onBytes = () => {}, counted = 0, tap }: OutputOptions) {
    this.#tap = tap;
    this.#tapped = tap?.position ?? 0;
    this.log = output;
    this.#onBytes = onBytes;
    this.#counted = counted;
    this.#held = output.kept;
    this.#kept = output.kept;
    this.#stop = output.onChange(() => this.#changed());
    queueMicrotask(() => this.#changed());
  }

  /** Resolves when all that the command said is in the ring, or was given up. */
  get drained(): Promise<void> {
    return this.#drained.promise;
  }

  get ended(): boolean {
    return this.#abandoned || this.log.ended;
  }

  /** Where a reader begins that has seen nothing: at the start if nobody was there before, else shortly before the end. */
  get start(): number {
    return this.#held ?? Math.max(0, this.log.head - tailBytes);
  }

  add(reader: Reader): void {
    this.#readers.add(reader);
    if (reader.holds) this.#held = undefined;
    this.advance();
    reader.pump();
  }

  /** `holdFrom`: a reader that was cut off and may come back for the rest. */
  remove(reader: Reader, holdFrom?: number): void {
    if (!this.#readers.delete(reader)) return;
    if (reader.holds && this.#holding().length === 0) this.#held = holdFrom;
    this.advance();
  }

  /** The tap takes more. */
  resume(): void {
    this.#changed();
  }

  /** Stops holding output for a reader. */
  release(): void {
    this.#held = undefined;
    this.advance();
  }

  /** A reader has moved on. */
  advance(): void {
    const floor = this.#floor();
    if (floor === this.#kept) return;
    const small =
      floor !== undefined && this.#kept !== undefined && floor > this.#kept && floor < this.#kept + stepBytes;
    if (small) return;
    this.#kept = floor;
    this.log.keep(floor);
  }

  /** Whether the command waits for this reader. */
  waitsFor(reader: Reader): boolean {
    return reader.holds && this.log.head - reader.floor >= outputBytes - stepBytes;
  }

  /** Gives up on output that does not end. */
  abandon(): void {
    this.#abandoned = true;
    this.#changed();
  }

  [Symbol.dispose](): void {
    this.#stop();
  }

  #record(): void {
    if (this.#tap === undefined) return;
    while (!this.#tap.blocked) {
      const piece = this.log.read(this.#tapped, limits.framePayloadBytes);
      if (piece === undefined) break;
      if (piece.position > this.#tapped) this.#tap.lost(piece.position - this.#tapped);
      this.#tapped = piece.position + piece.payload.length;
      this.#tap.output(piece.channel, piece.payload);
    }
    this.advance();
  }

  #holding(): readonly Reader[] {
    return [...this.#readers].filter(({ holds }) => holds);
  }

  #floor(): number | undefined {
    const floors = this.#holding().map(({ floor }) => floor);
    if (floors.length === 0 && this.#held !== undefined) floors.push(this.#held);
    if (this.#tap) floors.push(this.#tap.position ?? this.#tapped);
    return floors.length === 0 ? undefined : Math.min(...floors);
  }

  #changed(): void {
    const { head } = this.log;
    if (head > this.#counted) this.#onBytes(head - this.#counted);
    this.#counted = Math.max(this.#counted, head);
    this.#record();
    for (const reader of this.#readers) reader.pump();
    const recorded = this.#abandoned || this.#tap === undefined || this.#tapped >= this.log.head;
    if (this.ended && recorded) this.#drained.resolve();
  }
}
