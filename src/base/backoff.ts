import { setTimeout as sleep } from 'node:timers/promises';

export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  readonly random?: () => number;
}

/**
 * Decorrelated jitter: each pause lies between `initialMs` and three times the last one, never over `maxMs`, so that a
 * hundred agents that lost one gateway do not come back in step.
 */
export class Backoff {
  readonly #options: BackoffOptions;
  #lastMs: number;

  constructor(options: BackoffOptions) {
    this.#options = options;
    this.#lastMs = options.initialMs;
  }

  nextMs(): number {
    const { initialMs, maxMs, random = Math.random } = this.#options;
    this.#lastMs = Math.min(maxMs, initialMs + random() * Math.max(0, this.#lastMs * 3 - initialMs));
    return this.#lastMs;
  }

  reset(): void {
    this.#lastMs = this.#options.initialMs;
  }

  /** Waits for the next pause; returns at once, without an error, when `signal` is aborted. */
  async wait(signal?: AbortSignal): Promise<void> {
    try {
      await sleep(this.nextMs(), undefined, signal ? { signal } : {});
    } catch (error) {
      if (!signal?.aborted) throw error;
    }
  }
}
