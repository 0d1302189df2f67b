import { constants } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { CrashcartError, describe, reasons } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { limits, type StoredRecording } from '../../wire/agent-protocol.ts';
import type { CastHeader } from '../../wire/asciicast.ts';
import { isSessionUid } from '../../wire/desired-session.ts';
import { parseStoredRecordings } from '../../wire/observed-session.ts';
import { Budget } from './budget.ts';
import { CastFile } from './cast-file.ts';
import { Recorder, type RecorderOptions } from './recorder.ts';

export interface RecordingsOptions {
  /** Only root may read it; made when it is not there. */
  readonly directory: string;
  /** Of one recording. */
  readonly maxBytes: number;
  /** Of all recordings of the node. */
  readonly totalBytes: number;
  /** A finished recording is deleted when it is older than this, whether anybody has fetched it or not. */
  readonly keepMs: number;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

type Hooks = Pick<RecorderOptions, 'onFailure' | 'onDrain'>;

/**
 * The recordings of a node: UID.cast, and UID.json once it is finished. Nothing makes room by deleting what nobody has fetched:
 * evidence must not be pushed out by making more of it.
 */
export class Recordings {
  readonly #options: RecordingsOptions;
  readonly #budget: Budget;
  readonly #finished = new Map<string, StoredRecording>();
  readonly #unfinished = new Set<string>();
  readonly #open = new Set<string>();

  private constructor(options: RecordingsOptions, used: number) {
    this.#options = options;
    this.#budget = new Budget(options.totalBytes, used);
  }

  /** Reads what is there. @throws when the directory cannot be made or read */
  static async open(options: RecordingsOptions): Promise<Recordings> {
    const { directory, log } = options;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const names = await readdir(directory);
    const casts = names.filter((name) => name.endsWith('.cast') && isSessionUid(name.slice(0, -'.cast'.length)));
    const sizes = await Promise.all(casts.map(async (name) => (await stat(join(directory, name))).size));
    const recordings = new Recordings(
      options,
      sizes.reduce((sum, size) => sum + size, 0),
    );
    for (const name of casts) {
      const uid = name.slice(0, -'.cast'.length);
      const found = await recordings.#readMeta(uid).catch((error: unknown) => {
        log.warn('a recording’s description cannot be read', { uid, error: describe(error) });
        return undefined;
      });
      if (found) recordings.#finished.set(uid, found);
      else recordings.#unfinished.add(uid);
    }
    return recordings;
  }

  get usedBytes(): number {
    return this.#budget.used;
  }

  /** A new recording. @throws CrashcartError RecordingFailed */
  async begin(header: CastHeader, hooks: Hooks): Promise<Recorder> {
    const { uid, tty } = header.crashcart;
    const startedAt = performance.now();
    const file = await CastFile.create(this.#cast(uid), header, this.#budget).catch((cause: unknown) => {
      throw failed(cause);
    });
    this.#open.add(uid);
    return this.#recorder(file, { tty, clock: () => performance.now() - startedAt, position: 0, hooks });
  }

  /** One that an earlier agent began, for a session that still runs: goes on in the same file. @throws CrashcartError RecordingFailed */
  async resume(uid: string, hooks: Hooks): Promise<{ readonly recorder: Recorder; readonly header: CastHeader }> {
    const { now = Date.now } = this.#options;
    if (this.#finished.has(uid)) throw failed(new Error('its recording was finished before'));
    const { file, resumed } = await CastFile.resume(this.#cast(uid), this.#budget).catch((cause: unknown) => {
      throw failed(cause);
    });
    this.#unfinished.delete(uid);
    this.#open.add(uid);
    const { header, lastMs, position } = resumed;
    // The wall clock bridges the time without an agent; from here on it is the monotonic one again.
    const offset = Math.max(lastMs, now() - header.timestamp * 1_000) - performance.now();
    const clock = (): number => offset + performance.now();
    const { tty } = header.crashcart;
    return { recorder: this.#recorder(file, { tty, clock, position, hooks, resumed: true }), header };
  }

  /** Ends a recording that `begin` or `resume` gave. Never rejects; what could not be written is in the answer. */
  async finish(
    recorder: Recorder,
    about: { readonly uid: string; readonly namespace: string; readonly session: string },
    marker: string,
  ): Promise<StoredRecording & { readonly failure?: CrashcartError }> {
    const { bytes, sha256, failure } = await recorder.finish(marker);
    const finished: StoredRecording = { ...about, bytes, sha256, complete: failure === undefined };
    this.#open.delete(about.uid);
    this.#finished.set(about.uid, finished);
    try {
      await this.#writeMeta(finished);
    } catch (error) {
      // The next agent makes it from the file.
      this.#options.log.error('a recording’s description could not be written', { error: describe(error) });
    }
    return failure ? { ...finished, failure } : finished;
  }

  /** Finishes what an earlier agent left and nobody goes on with. Never rejects. */
  async recover(running: ReadonlySet<string>): Promise<void> {
    for (const uid of [...this.#unfinished].filter((each) => !running.has(each))) {
      try {
        const { recorder, header } = await this.resume(uid, { onFailure: () => {}, onDrain: () => {} });
        const { namespace, session } = header.crashcart;
        await this.finish(
          recorder,
          { uid, namespace, session },
          'the node agent was stopped in the middle of the session',
        );
      } catch (error) {
        this.#options.log.error('an unfinished recording cannot be read', { uid, error: describe(error) });
      }
    }
  }

  /** Finished ones, at most `limits.recordings`. */
  list(): readonly StoredRecording[] {
    return [...this.#finished.values()].slice(0, limits.recordings);
  }

  /** `limit` bytes from `from` on, and how many there are in all. @throws CrashcartError NotFound */
  async read(
    uid: string,
    from: number,
    limit: number,
  ): Promise<{ readonly length: number; readonly bytes?: Readable }> {
    const { O_RDONLY, O_NOFOLLOW } = constants;
    const file = await open(this.#cast(uid), O_RDONLY | O_NOFOLLOW).catch((cause: unknown) => {
      throw new CrashcartError(reasons.NotFound, 'This node has no recording of the session.', { cause });
    });
    const { size } = await file.stat();
    const end = Math.min(size, from + limit);
    if (from >= end) {
      await file.close();
      return { length: size };
    }
    return { length: size, bytes: file.createReadStream({ start: from, end: end - 1, autoClose: true }) };
  }

  /** Idempotent. @throws CrashcartError Invalid when it is not the one that the caller has stored */
  async remove(uid: string, sha256: string): Promise<void> {
    const found = this.#finished.get(uid);
    if (found === undefined) {
      if (!this.#open.has(uid) && !this.#unfinished.has(uid)) return;
      throw new CrashcartError(reasons.Invalid, 'The recording is still being written.');
    }
    if (found.sha256 !== sha256) throw new CrashcartError(reasons.Invalid, 'The recording has another checksum.');
    await this.#delete(uid);
  }

  /** Deletes those that are too old. Never rejects. */
  async expire(): Promise<void> {
    const { keepMs, now = Date.now, log } = this.#options;
    for (const uid of this.#finished.keys()) {
      try {
        const { mtimeMs } = await stat(this.#cast(uid));
        if (now() - mtimeMs < keepMs) continue;
        log.info('deleting an old recording', { uid });
        await this.#delete(uid);
      } catch (error) {
        log.warn('could not delete an old recording', { uid, error: describe(error) });
      }
    }
  }

  #recorder(
    file: CastFile,
    { hooks, ...options }: Pick<RecorderOptions, 'tty' | 'clock' | 'position' | 'resumed'> & { readonly hooks: Hooks },
  ): Recorder {
    return new Recorder({ file, maxBytes: this.#options.maxBytes, ...options, ...hooks });
  }

  async #delete(uid: string): Promise<void> {
    const { size } = await stat(this.#cast(uid)).catch(() => ({ size: 0 }));
    await rm(this.#cast(uid), { force: true });
    await rm(this.#meta(uid), { force: true });
    this.#budget.give(size);
    this.#finished.delete(uid);
  }

  async #readMeta(uid: string): Promise<StoredRecording | undefined> {
    const text = await readFile(this.#meta(uid), 'utf8').catch(() => undefined);
    if (text === undefined) return undefined;
    const [found] = parseStoredRecordings({ recordings: [JSON.parse(text)] });
    return found?.uid === uid ? found : undefined;
  }

  async #writeMeta(finished: StoredRecording): Promise<void> {
    const path = this.#meta(finished.uid);
    const file = await open(`${path}.new`, 'w', 0o600);
    try {
      await file.writeFile(JSON.stringify(finished));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.new`, path);
  }

  #cast(uid: string): string {
    if (!isSessionUid(uid)) throw new CrashcartError(reasons.Invalid, 'the uid of a recording is none');
    return join(this.#options.directory, `${uid}.cast`);
  }

  #meta(uid: string): string {
    return `${this.#cast(uid).slice(0, -'.cast'.length)}.json`;
  }
}

const failed = (cause: unknown): CrashcartError =>
  new CrashcartError(reasons.RecordingFailed, `The session cannot be recorded: ${describe(cause)}.`, { cause });
