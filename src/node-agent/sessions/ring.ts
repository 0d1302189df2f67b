import type { Frame } from './sessions.ts';

interface Run {
  readonly channel: number;
  length: number;
}

/** A command that writes a byte to stdout and stderr in turn must not cost an object per byte. */
const maxRuns = 4096;
const leastAllocation = 4096;

/**
 * The last `capacity` bytes of a session's output, with the order in which stdout and stderr came. Memory grows with use
 * and never over the capacity.
 */
export class Ring {
  #capacity: number;
  #memory = Buffer.alloc(0);
  #start = 0;
  #length = 0;
  readonly #runs: Run[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get length(): number {
    return this.#length;
  }

  /** How many bytes fit before the oldest would be overwritten. */
  get room(): number {
    return this.#runs.length >= maxRuns ? 0 : this.#capacity - this.#length;
  }

  /** More room, once: for the rest that a command left in its pipes when it ended before anybody read. */
  extend(bytes: number): void {
    this.#capacity += bytes;
  }

  /** Copies `payload`; overwrites the oldest bytes where there is no room. */
  push(channel: number, payload: Uint8Array): void {
    const kept = payload.subarray(Math.max(0, payload.length - this.#capacity));
    if (kept.length === 0) return;
    this.#dropOldest(this.#length + kept.length - this.#capacity);
    this.#reserve(this.#length + kept.length);
    this.#write(kept);
    this.#extendRun(channel, kept.length);
  }

  /** A copy of all of it, oldest first, in frames of at most `maxPayload` bytes. */
  frames(maxPayload: number): Frame[] {
    const frames: Frame[] = [];
    let at = 0;
    for (const run of this.#runs) {
      for (let done = 0; done < run.length; done += maxPayload) {
        const length = Math.min(maxPayload, run.length - done);
        frames.push({ channel: run.channel, payload: this.#copy(at + done, length) });
      }
      at += run.length;
    }
    return frames;
  }

  #dropOldest(bytes: number): void {
    for (let left = bytes; left > 0; ) {
      const oldest = this.#runs[0];
      if (oldest === undefined) return;
      const dropped = Math.min(left, oldest.length);
      oldest.length -= dropped;
      left -= dropped;
      this.#forget(dropped);
      if (oldest.length === 0) this.#runs.shift();
    }
  }

  #forget(bytes: number): void {
    this.#start = (this.#start + bytes) % this.#memory.length;
    this.#length -= bytes;
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#memory.length) return;
    let size = Math.max(leastAllocation, this.#memory.length);
    while (size < bytes) size *= 2;
    const larger = Buffer.alloc(Math.min(size, this.#capacity));
    this.#copy(0, this.#length).copy(larger);
    this.#memory = larger;
    this.#start = 0;
  }

  #write(bytes: Uint8Array): void {
    const at = (this.#start + this.#length) % this.#memory.length;
    const untilEnd = Math.min(bytes.length, this.#memory.length - at);
    this.#memory.set(bytes.subarray(0, untilEnd), at);
    this.#memory.set(bytes.subarray(untilEnd), 0);
    this.#length += bytes.length;
  }

  #extendRun(channel: number, bytes: number): void {
    const newest = this.#runs.at(-1);
    if (newest?.channel === channel) {
      newest.length += bytes;
      return;
    }
    this.#runs.push({ channel, length: bytes });
    if (this.#runs.length > maxRuns) this.#dropOldest(this.#runs[0]?.length ?? 0);
  }

  #copy(offset: number, length: number): Buffer {
    const copy = Buffer.alloc(length);
    if (length === 0) return copy;
    const at = (this.#start + offset) % this.#memory.length;
    const untilEnd = this.#memory.copy(copy, 0, at, Math.min(at + length, this.#memory.length));
    this.#memory.copy(copy, untilEnd, 0, length - untilEnd);
    return copy;
  }
}
