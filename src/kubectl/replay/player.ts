import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { EscapeFilter } from '../../terminal/escape-filter.ts';
import { castCodes, parseEvent } from '../../wire/asciicast.ts';
import { type Host, note } from '../host.ts';
import { PlayClock } from './play-clock.ts';

export interface PlayOptions {
  readonly host: Host;
  readonly speed: number;
  readonly maxIdleMs: number;
  /** Do not filter. */
  readonly raw: boolean;
  /** False: all at once. */
  readonly timed: boolean;
  /** Aborted: the player stops. */
  readonly signal: AbortSignal;
  /** Is shown what goes to the terminal. */
  readonly saw?: (output: Buffer) => void;
}

const skipMs = 5_000;
const speeds = { least: 1 / 16, most: 256 } as const;

/** Shows events as they were, one after another. */
export class Player {
  readonly #options: PlayOptions;
  readonly #clock: PlayClock;
  readonly #filters = { out: new EscapeFilter(), err: new EscapeFilter() };
  #wake: () => void = () => {};
  #stream: 'out' | 'err' = 'out';

  constructor(options: PlayOptions) {
    this.#options = options;
    const { speed, maxIdleMs } = options;
    this.#clock = new PlayClock({ speed, maxIdleMs, now: () => performance.now() });
  }

  /** `lines` are those behind the header. Resolves at their end, or when it was told to stop. */
  async play(lines: AsyncIterable<string>): Promise<void> {
    const { timed, signal } = this.#options;
    const stop = (): void => this.#wake();
    signal.addEventListener('abort', stop);
    try {
      for await (const line of lines) {
        if (signal.aborted) return;
        const { seconds, code, data } = parseEvent(line);
        if (code === castCodes.stream) this.#stream = data === '2' ? 'err' : 'out';
        if (code !== castCodes.output) continue;
        if (timed) await this.#due(seconds);
        if (signal.aborted) return;
        await this.#show(data);
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** What a person typed. True: it is a key that ends the player. */
  key(keys: string): boolean {
    switch (keys) {
      case ' ':
        this.#clock.toggle();
        break;
      case '\x1b[C':
      case '\x1bOC':
        this.#clock.skip(skipMs);
        break;
      case '+':
        this.#clock.setSpeed(Math.min(speeds.most, this.#clock.speed * 2));
        break;
      case '-':
        this.#clock.setSpeed(Math.max(speeds.least, this.#clock.speed / 2));
        break;
      case 'q':
      case '\x03':
        return true;
    }
    this.#wake();
    return false;
  }

  async #due(seconds: number): Promise<void> {
    const { signal } = this.#options;
    this.#clock.aim(seconds);
    for (let wait = this.#clock.waitMs(); wait > 0 && !signal.aborted; wait = this.#clock.waitMs()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (wait !== Number.POSITIVE_INFINITY) setTimeout(resolve, wait);
      });
    }
  }

  async #show(data: string): Promise<void> {
    const { host, raw, saw } = this.#options;
    const stream = this.#stream === 'err' ? host.stderr : host.stdout;
    const text = Buffer.from(raw ? data : this.#filters[this.#stream].filter(data));
    if (text.length === 0 || stream.destroyed) return;
    saw?.(text);
    if (!stream.write(text)) await Promise.race([once(stream, 'drain'), once(stream, 'close'), once(stream, 'error')]);
  }
}

/** What a session may have left switched on in the terminal beside what RawTerminal undoes: margins, character set, insert mode, attributes. */
export const restoreScreen = '\x1b[4l\x1b[r\x1b(B\x0f\x1b[0m\x1b[?7h\r\n';

/** Lists markers instead of playing. */
export async function listMarkers(
  host: Host,
  lines: AsyncIterable<string>,
  safe: (text: string) => string,
): Promise<void> {
  for await (const line of lines) {
    const { seconds, code, data } = parseEvent(line);
    if (code === castCodes.marker) host.stdout.write(`${clockText(seconds)}  ${safe(data)}\n`);
  }
}

/** `1:02:03` */
export function clockText(seconds: number): string {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 3_600), Math.floor(whole / 60) % 60, whole % 60];
  return parts.map((part, index) => (index === 0 ? `${part}` : `${part}`.padStart(2, '0'))).join(':');
}

export const hint = (host: Host): void => note(host, 'space pauses, → skips 5 s, + and - change the speed, q ends');
