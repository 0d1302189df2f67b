import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { inScratch } from '../scratch.ts';
import type { Tell } from '../step.ts';
import { type Download, download } from './download.ts';
import type { Lock, LockedPackage } from './lock.ts';
import { findFallback, findMirror } from './mirror.ts';

/** Where everything is kept that can be fetched or made again; `make clean` leaves it alone. */
export const cacheDirectory = (environment: NodeJS.ProcessEnv): string =>
  environment['CRASHCART_CACHE'] || join(environment['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'crashcart');

const debPath = (directory: string, { sha256 }: LockedPackage): string => join(directory, `${sha256}.deb`);

/** So many at a time go into the cache: what an interrupted build has fetched is not fetched again. */
const batchSize = 24;

export interface FetchOptions {
  environment: NodeJS.ProcessEnv;
  /** The lock's date, for the second source. */
  date: string;
  tell?: Tell;
}

/**
 * Fetches what is not in the cache, where .deb files are named by their digest. Everything that gets in has the size and sha256 of the
 * lock, wherever it came from.
 */
export async function fetchPackages(packages: readonly LockedPackage[], options: FetchOptions): Promise<void> {
  const directory = join(cacheDirectory(options.environment), 'debian');
  await mkdir(directory, { recursive: true });
  const missing: LockedPackage[] = [];
  for (const wanted of packages) {
    const found = await stat(debPath(directory, wanted)).catch(() => undefined);
    if (found?.size !== wanted.size) missing.push(wanted);
  }
  if (missing.length === 0) return;
  const megabytes = (list: readonly LockedPackage[]) =>
    (list.reduce((sum, { size }) => sum + size, 0) / 1e6).toFixed(1);
  for (let at = 0; at < missing.length; at += batchSize) {
    options.tell?.(
      `fetching ${missing.length} packages, ${megabytes(missing)} MB: ${megabytes(missing.slice(0, at))} MB are there ...`,
    );
    await fetchBatch(missing.slice(at, at + batchSize), directory, options);
  }
}

/** The bytes of a fetched package. A damaged file in the cache is fetched again. */
export async function readPackage(wanted: LockedPackage, options: FetchOptions): Promise<Buffer> {
  const directory = join(cacheDirectory(options.environment), 'debian');
  const path = debPath(directory, wanted);
  await fetchPackages([wanted], options);
  try {
    return verified(await readFile(path), wanted);
  } catch {
    await rm(path, { force: true });
    await fetchPackages([wanted], options);
    return verified(await readFile(path), wanted);
  }
}

async function fetchBatch(batch: readonly LockedPackage[], directory: string, options: FetchOptions): Promise<void> {
  const { environment, date } = options;
  // A directory of its own takes whatever a client leaves of a failed download away with it.
  await inScratch(join(directory, 'fetch'), async (scratch) => {
    const from = (mirror: string, { path, size, sha256 }: LockedPackage): Download => ({
      url: `${mirror}/${path}`,
      path: join(scratch, `${sha256}.deb`),
      size,
      sha256,
    });
    await download(
      batch.map((wanted) => {
        const second = findFallback(environment, wanted.archive, date);
        const first = from(findMirror(environment, wanted.archive), wanted);
        return second ? { ...first, fallback: from(second, wanted).url } : first;
      }),
    );
    for (const wanted of batch) {
      const fetched = debPath(scratch, wanted);
      verified(await readFile(fetched), wanted);
      await rename(fetched, debPath(directory, wanted));
    }
  });
}

/** What reading a lock's packages takes: where the cache is, and what to say about progress. */
export const fetchOptionsOf = (lock: Lock, environment: NodeJS.ProcessEnv, tell?: Tell): FetchOptions => ({
  environment,
  date: lock.date,
  ...(tell && { tell }),
});

export function verified(content: Buffer, wanted: LockedPackage): Buffer {
  const sha256 = createHash('sha256').update(content).digest('hex');
  if (content.length === wanted.size && sha256 === wanted.sha256) return content;
  throw new CrashcartError(
    reasons.Invalid,
    `${wanted.path} has ${content.length} bytes with sha256 ${sha256}, the lock says ${wanted.size} with ${wanted.sha256}; do not use this mirror.`,
  );
}
