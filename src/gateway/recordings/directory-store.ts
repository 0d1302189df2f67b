import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CrashcartError, reasons } from '../../base/errors.ts';
import type { RecordingFacts, RecordingPart, RecordingStore } from './store.ts';

const scheme = 'directory:';
/** Of keys that recordingKey makes: each part a name of Kubernetes. */
const keyPattern = /^[a-z0-9][-a-z0-9.]*\/[a-z0-9][-a-z0-9.]*\/[a-z0-9][-A-Za-z0-9.]*\.cast$/;

/** A mounted volume. */
export class DirectoryStore implements RecordingStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  locationOf(key: string): string {
    return `${scheme}${key}`;
  }

  keyOf(location: string): string | undefined {
    return location.startsWith(scheme) ? location.slice(scheme.length) : undefined;
  }

  async put(key: string, facts: RecordingFacts, source: () => Promise<Readable>): Promise<void> {
    const path = this.#path(key);
    const there = await stat(path).catch(() => undefined);
    if (there) {
      if (there.size === facts.bytes && (await sha256Of(path)) === facts.sha256) return;
      throw new CrashcartError(reasons.Invalid, `the directory has another recording at ${key}`);
    }
    await mkdir(dirname(path), { recursive: true, mode: 0o750 });
    const unfinished = `${path}.new`;
    try {
      await pipeline(await source(), createWriteStream(unfinished, { mode: 0o640, flush: true }));
      // Read back: what the volume has is what counts.
      if ((await sha256Of(unfinished)) !== facts.sha256) {
        throw new CrashcartError(reasons.Invalid, `what was stored at ${key} has another checksum than the node said`);
      }
      await rename(unfinished, path);
      await syncDirectory(dirname(path));
    } catch (error) {
      await rm(unfinished, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  async read(key: string, from: number, limit: number): Promise<RecordingPart> {
    const path = this.#path(key);
    const { size } = await stat(path).catch((cause: unknown) => {
      throw new CrashcartError(reasons.NotFound, `the recording ${key} is no longer in the directory`, { cause });
    });
    const end = Math.min(size, from + limit);
    return from >= end
      ? { length: size }
      : { length: size, bytes: createReadStream(path, { start: from, end: end - 1 }) };
  }

  #path(key: string): string {
    if (!keyPattern.test(key) || key.includes('..'))
      throw new CrashcartError(reasons.Invalid, `${key} is no recording`);
    return join(this.#root, key);
  }
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
