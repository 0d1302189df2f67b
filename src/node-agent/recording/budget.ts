/** Bytes that all recordings of a node may take together. */
export class Budget {
  readonly #bytes: number;
  #used: number;

  constructor(bytes: number, used: number) {
    this.#bytes = bytes;
    this.#used = used;
  }

  get used(): number {
    return this.#used;
  }

  /** False, and nothing taken, when there is no room. */
  take(bytes: number): boolean {
    if (this.#used + bytes > this.#bytes) return false;
    this.#used += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#used = Math.max(0, this.#used - bytes);
  }
}
