import type { Followed } from './follow.ts';
import type { SessionMemory } from './memory.ts';
import type { InputSender, OutputPiece, SessionInput, SessionOutput } from './request.ts';

/** A session's memory as those see it who read its output. Owns the memory. */
export class FollowedOutput implements SessionOutput {
  readonly #memory: SessionMemory;
  readonly #followed: Followed;
  #open = true;

  constructor(memory: SessionMemory, followed: Followed) {
    this.#memory = memory;
    this.#followed = followed;
  }

  get head(): number {
    return this.#open ? this.#memory.told().head : 0;
  }

  get ended(): boolean {
    return !this.#open || this.#followed.gone || this.#memory.told().outputEnded;
  }

  get kept(): number | undefined {
    return this.#open ? this.#memory.kept : undefined;
  }

  read(position: number, maxBytes: number): OutputPiece | undefined {
    return this.#open ? this.#memory.read(position, maxBytes) : undefined;
  }

  keep(position: number | undefined): void {
    if (!this.#open) return;
    this.#memory.keep(position);
    this.#followed.poke();
  }

  onChange(listener: () => void): () => void {
    return this.#followed.onChange(listener);
  }

  [Symbol.dispose](): void {
    this.#open = false;
    this.#memory[Symbol.dispose]();
  }
}

export class FollowedInput implements SessionInput {
  readonly #memory: SessionMemory;
  readonly #followed: Followed;
  readonly #tty: boolean;

  constructor(memory: SessionMemory, followed: Followed, tty: boolean) {
    this.#memory = memory;
    this.#followed = followed;
    this.#tty = tty;
  }

  get open(): boolean {
    if (this.#followed.gone || this.#memory.inputEnded) return false;
    const { inputBroken, exit } = this.#memory.told();
    return !inputBroken && exit === undefined;
  }

  write(payload: Uint8Array, sender?: InputSender): number {
    if (this.#followed.gone) return payload.length;
    const taken = this.#memory.write(payload, sender);
    if (taken > 0) this.#followed.poke();
    return taken;
  }

  receivedFrom(id: bigint): number | undefined {
    return this.#memory.receivedFrom(id);
  }

  end(): void {
    if (this.#tty || this.#followed.gone) return;
    this.#memory.endInput();
    this.#followed.poke();
  }
}
