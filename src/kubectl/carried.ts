import { randomBytes } from 'node:crypto';
import { type Resumption, unconfirmedInputBytes } from '../wire/resume.ts';

/** What of a session outlives a connection: how much output is here, and which input is not yet known to have arrived. */
export class Carried {
  /** Names us to the session over all connections. */
  readonly id = BigInt(`0x${randomBytes(8).toString('hex')}`) || 1n;
  /** The session speaks of positions: it can be come back to. */
  resumable = false;
  /** Of the next byte of output; undefined before the first word about it. */
  position: number | undefined;
  /** When we began to type there. */
  turn: number | undefined;
  inputEnded = false;
  #confirmed = 0;
  /** What the session does not count of our input, because it was dropped there and another agent has it since. */
  #uncounted = 0;
  #kept: Buffer[] = [];
  #keptBytes = 0;

  /** What was sent and not yet confirmed is kept for a next connection; over this, reading more input waits. */
  get full(): boolean {
    return this.resumable && this.#keptBytes >= unconfirmedInputBytes;
  }

  /** Input on its way. */
  sent(chunk: Buffer): void {
    this.#kept.push(chunk);
    this.#keptBytes += chunk.length;
  }

  /** What the session has of our input, by what it says, at the beginning of a connection and later. The rest is `unconfirmed`. */
  confirm({ input }: Resumption, begins = false): void {
    if (input === undefined) return;
    if (begins) this.#uncounted = Math.max(0, this.#confirmed - (input ?? 0));
    // Forgotten there, as it never is before 32 other clients have typed: what is not confirmed may or may not have arrived, and is not sent twice.
    const forgotten = this.#confirmed === 0 ? 0 : this.#confirmed + this.#keptBytes;
    if (input === null) this.#uncounted = forgotten;
    const upTo = input === null ? forgotten : input + this.#uncounted;
    let drop = Math.max(0, Math.min(upTo - this.#confirmed, this.#keptBytes));
    this.#confirmed += drop;
    this.#keptBytes -= drop;
    while (drop > 0) {
      const [first] = this.#kept;
      if (first === undefined) break;
      if (first.length > drop) this.#kept[0] = first.subarray(drop);
      else this.#kept.shift();
      drop -= Math.min(drop, first.length);
    }
  }

  get unconfirmed(): readonly Buffer[] {
    return this.#kept;
  }
}
