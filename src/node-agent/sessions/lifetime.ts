import { type Reason, reasons } from '../../base/errors.ts';

export interface LifetimeOptions {
  readonly maxDurationMs: number;
  readonly idleTimeoutMs: number;
  /** Since the last client left. Left out: a session that everybody has left goes on. */
  readonly detachGraceMs?: number;
  /** Somebody was attached before this process was there. */
  readonly left?: boolean;
  /** For a session that ran before this process did. */
  readonly startedAgoMs?: number;
  readonly idleForMs?: number;
  /** Called once, with the limit that was reached. */
  readonly onLimit: (reason: Reason) => void;
  /** Called a minute before a limit that is longer than that, and again when it was put off and comes near once more. */
  readonly onWarning?: (reason: Reason, remainingMs: number) => void;
}

/** What setTimeout takes; anything longer would fire at once. */
const longestTimerMs = 2 ** 31 - 1;
export const warningMs = 60_000;

interface Limit {
  readonly reason: Reason;
  readonly lengthMs: number;
  readonly endsMs: number;
}

/** The clocks of a running session, monotonic, started by the constructor. Counted here, so that they hold without a controller. */
export class Lifetime implements Disposable {
  readonly #options: LifetimeOptions;
  readonly #startedMs: number;
  #maxDurationMs: number;
  #activeMs: number;
  #clients = 0;
  #leftMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Ends for which a warning was given. */
  readonly #warned = new Map<Reason, number>();
  #over = false;

  constructor(options: LifetimeOptions) {
    const { maxDurationMs, startedAgoMs = 0, idleForMs = 0, left = false } = options;
    const now = performance.now();
    this.#options = options;
    this.#maxDurationMs = maxDurationMs;
    this.#startedMs = now - startedAgoMs;
    this.#activeMs = now - idleForMs;
    // Nobody could attach while there was no agent: the time for that starts anew.
    if (left) this.#leftMs = now;
    this.#arm();
  }

  get remainingMs(): number {
    return this.#startedMs + this.#maxDurationMs - performance.now();
  }

  /** A byte went in either direction. Cheap: the timer finds out later, unless it stands on the end that was just announced. */
  touch(): void {
    this.#activeMs = performance.now();
    if (this.#warned.delete(reasons.IdleTimeout)) this.#arm();
  }

  /** The number of clients, whenever it changes: of those that do more than watch. */
  attached(clients: number): void {
    if (clients === this.#clients) return;
    this.#clients = clients;
    this.#leftMs = clients > 0 ? undefined : performance.now();
    this.#arm();
  }

  extend(maxDurationMs: number): void {
    this.#maxDurationMs = maxDurationMs;
    this.#arm();
  }

  [Symbol.dispose](): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  #limits(): readonly Limit[] {
    const { idleTimeoutMs, detachGraceMs } = this.#options;
    const limit = (reason: Reason, sinceMs: number, lengthMs: number): Limit => ({
      reason,
      lengthMs,
      endsMs: sinceMs + lengthMs,
    });
    return [
      limit(reasons.MaxDurationExceeded, this.#startedMs, this.#maxDurationMs),
      limit(reasons.IdleTimeout, this.#activeMs, idleTimeoutMs),
      ...(detachGraceMs === undefined || this.#leftMs === undefined
        ? []
        : [limit(reasons.DetachGraceExceeded, this.#leftMs, detachGraceMs)]),
    ];
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#over) return;
    const now = performance.now();
    const limits = this.#limits();
    const reached = limits.find(({ endsMs }) => endsMs <= now);
    if (reached) {
      this.#reached(reached.reason);
      return;
    }
    for (const limit of limits) this.#warn(limit, now);
    const moments = limits.flatMap(({ endsMs }) => [endsMs, endsMs - warningMs].filter((at) => at > now));
    const delayMs = Math.min(Math.ceil(Math.min(...moments) - now), longestTimerMs);
    this.#timer = setTimeout(() => this.#arm(), Math.max(1, delayMs));
  }

  #warn({ reason, lengthMs, endsMs }: Limit, now: number): void {
    // Nobody is there to be warned of that one.
    if (reason === reasons.DetachGraceExceeded) return;
    if (lengthMs <= warningMs || endsMs - now > warningMs || this.#warned.get(reason) === endsMs) return;
    this.#warned.set(reason, endsMs);
    this.#options.onWarning?.(reason, endsMs - now);
  }

  #reached(reason: Reason): void {
    if (this.#over) return;
    this[Symbol.dispose]();
    this.#options.onLimit(reason);
  }
}
