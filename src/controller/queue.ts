import { Backoff } from '../base/backoff.ts';

export interface Outcome {
  /** Look again after this, even if nothing happens. */
  readonly requeueAfterMs?: number;
}

export interface WorkQueueOptions {
  /** Level-based: gets a key only, and reads everything else anew. A rejection means "again, after a growing pause". */
  readonly handle: (key: string) => Promise<Outcome>;
  readonly onError: (key: string, caught: unknown) => void;
  readonly concurrency?: number;
  readonly random?: () => number;
}

/** A day: timers hold 24.8 days at most. */
const maxDelayMs = 86_400_000;

/**
 * A set of keys to be worked on. One key is never in two hands at once; a key that is added while it is worked on comes
 * again afterwards; a key added twice is worked on once.
 */
export class WorkQueue {
  readonly #options: Required<Omit<WorkQueueOptions, 'random'>> & Pick<WorkQueueOptions, 'random'>;
  readonly #waiting = new Set<string>();
  readonly #working = new Set<string>();
  readonly #again = new Set<string>();
  readonly #timers = new Map<string, { timer: NodeJS.Timeout; at: number }>();
  readonly #backoffs = new Map<string, Backoff>();
  #stopped = false;
  #idle = Promise.withResolvers<void>();

  constructor(options: WorkQueueOptions) {
    this.#options = { concurrency: 32, ...options };
  }

  get depth(): number {
    return this.#waiting.size + this.#again.size;
  }

  add(key: string): void {
    if (this.#stopped) return;
    if (this.#working.has(key)) this.#again.add(key);
    else this.#waiting.add(key);
    this.#pump();
  }

  /** The sooner of two times for the same key wins. */
  addAfter(key: string, ms: number): void {
    if (this.#stopped) return;
    const delayMs = Math.min(Math.max(0, ms), maxDelayMs);
    const at = performance.now() + delayMs;
    const planned = this.#timers.get(key);
    if (planned && planned.at <= at) return;
    clearTimeout(planned?.timer);
    const timer = setTimeout(() => {
      this.#timers.delete(key);
      this.add(key);
    }, delayMs);
    this.#timers.set(key, { timer, at });
  }

  /** Takes no more; resolves when what is in hand is done. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { timer } of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#waiting.clear();
    this.#again.clear();
    if (this.#working.size > 0) await this.#idle.promise;
  }

  #pump(): void {
    for (const key of this.#waiting) {
      if (this.#working.size >= this.#options.concurrency) return;
      this.#waiting.delete(key);
      this.#working.add(key);
      void this.#work(key);
    }
  }

  async #work(key: string): Promise<void> {
    try {
      const { requeueAfterMs } = await this.#options.handle(key);
      this.#backoffs.delete(key);
      if (requeueAfterMs !== undefined) this.addAfter(key, requeueAfterMs);
    } catch (caught) {
      this.#options.onError(key, caught);
      this.addAfter(key, this.#backoff(key).nextMs());
    } finally {
      this.#working.delete(key);
      if (this.#again.delete(key) && !this.#stopped) this.#waiting.add(key);
      if (this.#stopped && this.#working.size === 0) this.#idle.resolve();
      this.#pump();
    }
  }

  #backoff(key: string): Backoff {
    const { random } = this.#options;
    const known = this.#backoffs.get(key);
    const backoff = known ?? new Backoff({ initialMs: 50, maxMs: 30_000, ...(random ? { random } : {}) });
    if (!known) this.#backoffs.set(key, backoff);
    return backoff;
  }
}
