import { CrashcartError, describe, reasons } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import { type CastCode, castCodes, encodeEvent } from '../../wire/asciicast.ts';
import { channels, type Size } from '../../wire/channel.ts';
import type { CastFile } from './cast-file.ts';
import { unfinishedBytes } from './utf8.ts';

/** More than this waits for the disk: then the command waits, too. */
const waitingBytes = 1024 * 1024;
/** What a crash of the node may cost. */
const syncEveryMs = 1_000;
/** Kept free of output, for what is said at the end. */
const reservedBytes = 16 * 1024;
const maxMarker = 1024;
const batchBytes = 256 * 1024;
/** `[seconds, "p", "bytes"]` */
const longestPosition = 64;

interface Entry {
  readonly text: string;
  readonly bytes: number;
  /** Of the session's output, once this is written. */
  readonly position: number;
  readonly ms: number;
}

export interface RecorderOptions {
  readonly file: CastFile;
  /** Bytes of the file. */
  readonly maxBytes: number;
  readonly tty: boolean;
  /** Milliseconds since the start of the recording, never less than before. */
  readonly clock: () => number;
  /** Bytes of the session's output that the file has already. */
  readonly position: number;
  /** Recording is over, though the session is not; called once. */
  readonly onFailure: (error: CrashcartError) => void;
  /** `position` has moved on; the recorder may be no longer `blocked`. */
  readonly onDrain: () => void;
  /** Of the stream that the file ends with is not known which it is: the first output says it. */
  readonly resumed?: boolean;
}

export interface Recorded {
  readonly bytes: number;
  /** Hex, of the whole file. */
  readonly sha256: string;
  /** Why the file does not have all of it, where it has not. */
  readonly failure?: CrashcartError;
}

/**
 * Writes what a session shows, as it happens. One write is under way at a time, what comes meanwhile goes into the next one; each ends with the
 * position that it reaches. A failure is told once, and everything after it is dropped.
 */
export class Recorder {
  readonly #options: RecorderOptions;
  readonly #queue: Entry[] = [];
  #queuedBytes = 0;
  #position: number;
  #written: number;
  #rest = Buffer.alloc(0);
  #channel: number | undefined;
  #writing: Promise<void> | undefined;
  #failure: CrashcartError | undefined;
  #dirty = false;
  #ending = false;
  readonly #sync: NodeJS.Timeout;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#position = options.position;
    this.#written = options.position;
    // A terminal has one stream only.
    this.#channel = options.resumed && !options.tty ? undefined : channels.stdout;
    this.#sync = setInterval(() => void this.#syncNow(), syncEveryMs);
    this.#sync.unref();
  }

  /** Bytes of the session's output that are safe in the file: those from here on must not be lost by anybody else. */
  get position(): number {
    return this.#written;
  }

  get blocked(): boolean {
    return this.#failure === undefined && this.#queuedBytes > waitingBytes;
  }

  get failure(): CrashcartError | undefined {
    return this.#failure;
  }

  get bytes(): number {
    return this.#options.file.length;
  }

  output(channel: number, payload: Uint8Array): void {
    if (this.#failure || payload.length === 0) return;
    if (channel !== this.#channel) this.#switchTo(channel);
    const bytes = Buffer.concat([this.#rest, payload]);
    const complete = bytes.length - unfinishedBytes(bytes);
    this.#rest = bytes.subarray(complete);
    this.#position += payload.length;
    this.#say(bytes.subarray(0, complete));
    this.#flush();
  }

  /** Output that it should have seen is gone: what comes after it is another recording. */
  lost(bytes: number): void {
    this.#fail(new Error(`${bytes} bytes of output were gone before they could be written`));
  }

  resize({ width, height }: Size): void {
    this.#event(castCodes.resize, `${width}x${height}`);
    this.#flush();
  }

  marker(text: string): void {
    this.#event(castCodes.marker, printable(text).slice(0, maxMarker));
    this.#flush();
  }

  /** Writes the rest and a last marker; everything is on the disk when it resolves. Call it once. Never rejects. */
  async finish(text: string): Promise<Recorded> {
    this.#say(this.#rest);
    this.#rest = Buffer.alloc(0);
    while (this.#writing) await this.#writing;
    this.#ending = true;
    this.marker(text);
    while (this.#writing) await this.#writing;
    return this.#close();
  }

  async #close(): Promise<Recorded> {
    const { file } = this.#options;
    clearInterval(this.#sync);
    try {
      await file.sync();
    } catch (error) {
      this.#fail(error);
    }
    await file.close().catch((error: unknown) => this.#fail(error));
    return { bytes: file.length, sha256: file.digest(), ...(this.#failure ? { failure: this.#failure } : {}) };
  }

  #switchTo(channel: number): void {
    this.#say(this.#rest);
    this.#rest = Buffer.alloc(0);
    this.#channel = channel;
    this.#event(castCodes.stream, `${channel}`);
  }

  #say(bytes: Buffer): void {
    if (bytes.length === 0) return;
    const text = bytes.toString('utf8');
    // Without a terminal nobody has turned line feeds into new lines, which is what a player shows.
    this.#event(castCodes.output, this.#options.tty ? text : text.replaceAll('\n', '\r\n'));
  }

  #event(code: CastCode, data: string): void {
    if (this.#failure) return;
    const ms = this.#options.clock();
    const text = encodeEvent(ms, code, data);
    const bytes = Buffer.byteLength(text);
    this.#queue.push({ text, bytes, position: this.#position - this.#rest.length, ms });
    this.#queuedBytes += bytes;
  }

  #flush(): void {
    if (this.#writing || this.#failure || this.#queue.length === 0) return;
    this.#writing = this.#write().then(() => {
      this.#writing = undefined;
      this.#flush();
      this.#options.onDrain();
    });
  }

  async #write(): Promise<void> {
    const { file } = this.#options;
    try {
      const { text, position, ms } = this.#batch();
      // With the time of what it follows: the next event may have happened before this is written.
      await file.append(text + encodeEvent(ms, castCodes.position, `${position}`));
      this.#written = position;
      this.#dirty = true;
    } catch (error) {
      this.#fail(error);
      // Whoever sees a recording that stops shall not wonder.
      const ms = this.#options.clock();
      const last = encodeEvent(ms, castCodes.marker, `recording stopped: ${describe(error)}`);
      await file.append(last + encodeEvent(ms, castCodes.position, `${this.#written}`)).catch(() => undefined);
    }
  }

  /** As many events as one write takes and the bound lets in. @throws CrashcartError RecordingFailed when not even one fits */
  #batch(): Pick<Entry, 'text' | 'position' | 'ms'> {
    const { file, maxBytes } = this.#options;
    const room = (this.#ending ? maxBytes : maxBytes - reservedBytes) - file.length - longestPosition;
    let [text, bytes, position, ms] = ['', 0, this.#written, 0];
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (bytes + next.bytes > room || (bytes > 0 && bytes + next.bytes > batchBytes)) break;
      this.#queue.shift();
      text += next.text;
      bytes += next.bytes;
      position = next.position;
      ms = next.ms;
    }
    this.#queuedBytes -= bytes;
    if (bytes > 0) return { text, position, ms };
    throw new CrashcartError(reasons.RecordingFailed, `the recording has reached its bound of ${maxBytes} bytes`);
  }

  async #syncNow(): Promise<void> {
    if (!this.#dirty || this.#failure) return;
    this.#dirty = false;
    await this.#options.file.sync().catch((error: unknown) => this.#fail(error));
  }

  #fail(caught: unknown): void {
    if (this.#failure) return;
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    const message = `The session is no longer recorded: ${describe(caught)}.`;
    this.#failure = new CrashcartError(reasons.RecordingFailed, message, { cause: caught });
    this.#options.onFailure(this.#failure);
    this.#options.onDrain();
  }
}
