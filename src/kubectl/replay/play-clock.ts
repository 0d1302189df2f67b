export interface PlayClockOptions {
  readonly speed: number;
  /** Pauses of the recording are cut to this; Infinity keeps them. */
  readonly maxIdleMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** Where in a recording its player is, and how long until the next event is due. */
export class PlayClock {
  readonly #options: PlayClockOptions;
  #speed: number;
  /** Milliseconds of the recording, its long pauses cut: reached at `#at`, and of the event that is next. */
  #reached = 0;
  #at: number;
  #next = 0;
  #lastSeconds = 0;
  #paused = false;

  constructor(options: PlayClockOptions) {
    this.#options = options;
    this.#speed = options.speed;
    this.#at = options.now();
  }

  get paused(): boolean {
    return this.#paused;
  }

  get speed(): number {
    return this.#speed;
  }

  /** The next event. Times that go back, as only a broken recording has them, are now. */
  aim(seconds: number): void {
    const gapMs = Math.max(0, seconds - this.#lastSeconds) * 1_000;
    this.#lastSeconds = Math.max(seconds, this.#lastSeconds);
    this.#next += Math.min(gapMs, this.#options.maxIdleMs);
  }

  /** Until the event that was aimed at; Infinity while paused. */
  waitMs(): number {
    this.#move();
    if (this.#next <= this.#reached) return 0;
    return this.#paused ? Number.POSITIVE_INFINITY : (this.#next - this.#reached) / this.#speed;
  }

  toggle(): void {
    this.#move();
    this.#paused = !this.#paused;
  }

  skip(ms: number): void {
    this.#move();
    this.#reached += ms;
  }

  setSpeed(speed: number): void {
    this.#move();
    this.#speed = speed;
  }

  #move(): void {
    const now = this.#options.now();
    if (!this.#paused) this.#reached += (now - this.#at) * this.#speed;
    this.#at = now;
  }
}
