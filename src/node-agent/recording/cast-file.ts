import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { type CastHeader, castCodes, encodeHeader, parseEvent, parseHeader } from '../../wire/asciicast.ts';
import type { Budget } from './budget.ts';

/** One event is at most a frame (`limits.framePayloadBytes`), six bytes of JSON for each. */
const longestLine = 512 * 1024;
const pieceBytes = 256 * 1024;

export interface Resumed {
  readonly header: CastHeader;
  readonly lastMs: number;
  /** Bytes of the session's output that are in the file. */
  readonly position: number;
}

/** A recording that is being written: appended to, never rewritten, its hash kept along the way. */
export class CastFile {
  readonly #file: FileHandle;
  readonly #hash: Hash;
  readonly #budget: Budget;
  #length: number;

  private constructor(file: FileHandle, budget: Budget, hash: Hash, length: number) {
    this.#file = file;
    this.#budget = budget;
    this.#hash = hash;
    this.#length = length;
  }

  /** Only root reads it. @throws when there is one already, or no room */
  static async create(path: string, header: CastHeader, budget: Budget): Promise<CastFile> {
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    const file = await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    const cast = new CastFile(file, budget, createHash('sha256'), 0);
    try {
      await cast.append(encodeHeader(header));
      return cast;
    } catch (error) {
      await cast.close();
      await rm(path, { force: true });
      throw error;
    }
  }

  /** Opens what an earlier agent left; a line that it did not finish, and output whose position it did not note, is cut off. */
  static async resume(path: string, budget: Budget): Promise<{ readonly file: CastFile; readonly resumed: Resumed }> {
    const file = await open(path, constants.O_RDWR | constants.O_NOFOLLOW);
    try {
      const { hash, end, size, ...resumed } = await scan(file);
      await file.truncate(end);
      budget.give(size - end);
      return { file: new CastFile(file, budget, hash, end), resumed };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get length(): number {
    return this.#length;
  }

  /** All of `text` or nothing: what a full disk took of it is cut off again. @throws the error of the file system */
  async append(text: string): Promise<void> {
    const bytes = Buffer.from(text);
    if (!this.#budget.take(bytes.length)) {
      throw new CrashcartError(reasons.RecordingFailed, 'the recordings of this node have all the room they may have');
    }
    try {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.#length + done);
        done += bytesWritten;
      }
    } catch (error) {
      this.#budget.give(bytes.length);
      await this.#file.truncate(this.#length).catch(() => undefined);
      throw error;
    }
    this.#hash.update(bytes);
    this.#length += bytes.length;
  }

  sync(): Promise<void> {
    return this.#file.datasync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** Of all that was appended, in hex. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }
}

/** Reads the file once, in pieces, up to the last line that says a position. */
async function scan(file: FileHandle): Promise<Resumed & { hash: Hash; end: number; size: number }> {
  const running = createHash('sha256');
  let header: CastHeader | undefined;
  let found: { hash: Hash; end: number; lastMs: number; position: number } | undefined;
  let rest = Buffer.alloc(0);
  let start = 0;
  let size = 0;
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(pieceBytes), 0, pieceBytes, size);
    if (bytesRead === 0) break;
    size += bytesRead;
    rest = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
    for (let newline = rest.indexOf(10); newline >= 0; newline = rest.indexOf(10)) {
      const line = rest.subarray(0, newline + 1);
      rest = rest.subarray(newline + 1);
      running.update(line);
      start += line.length;
      if (header === undefined) {
        header = parseHeader(line.toString());
        found = { hash: running.copy(), end: start, lastMs: 0, position: 0 };
      } else if (isPosition(line)) {
        const { seconds, data } = parseEvent(line.toString());
        found = { hash: running.copy(), end: start, lastMs: seconds * 1_000, position: Number(data) };
      }
    }
    if (rest.length > longestLine)
      throw new CrashcartError(reasons.Invalid, 'the recording has a line that is too long');
  }
  if (header === undefined || found === undefined) {
    throw new CrashcartError(reasons.Invalid, 'the recording has no header');
  }
  return { header, ...found, size };
}

const positionMark = Buffer.from(`, "${castCodes.position}", "`);
/** Looked for where encodeEvent writes it: the first quote of the line. */
const isPosition = (line: Buffer): boolean => {
  const at = line.indexOf(', "');
  return at > 0 && line.subarray(at, at + positionMark.length).equals(positionMark);
};
