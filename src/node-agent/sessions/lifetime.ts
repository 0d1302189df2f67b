import { type Reason, reasons } from '../../base/errors.ts';

export interface LifetimeOptions {
  readonly maxDurationMs: number;
  readonly idleTimeoutMs: number;
  /** Called once, with the limit that was reached. */
  readonly onLimit: (reason: Reason) => void;
}

/** What setTimeout takes; anything longer would fire at once. */
const longestTimerMs = 2 ** 31 - 1;

/** The two clocks of a running session, monotonic, started by the constructor. Counted here, so that they hold without a controller. */
export class Lifetime implements Disposable {
  readonly #options: LifetimeOptions;
  readonly #startedMs = performance.now();
  #activeMs = this.#startedMs;
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(options: LifetimeOptions) {
    this.#options = options;
    this.#arm();
  }

  /** A byte went in either direction. Cheap: the timer finds out later. */
  touch(): void {
    this.#activeMs = performance.now();
  }

  [Symbol.dispose](): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  #arm(): void {
    const { maxDurationMs, idleTimeoutMs } = this.#options;
    const now = performance.now();
    const untilMax = this.#startedMs + maxDurationMs - now;
    const untilIdle = this.#activeMs + idleTimeoutMs - now;
    if (untilMax <= 0) this.#reached(reasons.MaxDurationExceeded);
    else if (untilIdle <= 0) this.#reached(reasons.IdleTimeout);
    else {
      const delayMs = Math.min(Math.ceil(Math.min(untilMax, untilIdle)), longestTimerMs);
      this.#timer = setTimeout(() => this.#arm(), delayMs);
    }
  }

  #reached(reason: Reason): void {
    if (this.#over) return;
    this[Symbol.dispose]();
    this.#options.onLimit(reason);
  }
}
