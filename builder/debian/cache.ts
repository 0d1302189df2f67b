import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { type Download, download } from './download.ts';
import type { LockedPackage } from './lock.ts';
import { findMirror } from './mirror.ts';

/** Where everything is kept that can be fetched or made again; `make clean` leaves it alone. */
export const cacheDirectory = (environment: NodeJS.ProcessEnv): string =>
  environment['CRASHCART_CACHE'] || join(environment['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'crashcart');

/**
 * The .deb files of the packages by name, from the cache where they are named by their digest, else from the mirror.
 * What comes back has the size and sha256 of the lock, wherever it came from.
 */
export async function fetchPackages(
  packages: readonly LockedPackage[],
  environment: NodeJS.ProcessEnv,
): Promise<ReadonlyMap<string, Buffer>> {
  const directory = join(cacheDirectory(environment), 'debian');
  await mkdir(directory, { recursive: true });
  const found = new Map<string, Buffer>();
  const missing: LockedPackage[] = [];
  for (const wanted of packages) {
    const content = await readCached(join(directory, `${wanted.sha256}.deb`), wanted);
    if (content) found.set(wanted.name, content);
    else missing.push(wanted);
  }
  for (const [name, content] of await fetchMissing(missing, directory, environment)) found.set(name, content);
  return found;
}

async function fetchMissing(
  missing: readonly LockedPackage[],
  directory: string,
  environment: NodeJS.ProcessEnv,
): Promise<ReadonlyMap<string, Buffer>> {
  const found = new Map<string, Buffer>();
  if (missing.length === 0) return found;
  const mirror = findMirror(environment);
  // A directory of its own takes whatever a client leaves of a failed download away with it.
  const scratch = await mkdtemp(join(directory, '.fetch-'));
  const downloads: Download[] = missing.map(({ path, size, sha256 }) => ({
    url: `${mirror}/${path}`,
    path: join(scratch, `${sha256}.deb`),
    size,
    sha256,
  }));
  try {
    await download(downloads);
    for (const [at, wanted] of missing.entries()) {
      const fetched = downloads[at]?.path ?? '';
      found.set(wanted.name, verified(await readFile(fetched), wanted));
      await rename(fetched, join(directory, `${wanted.sha256}.deb`));
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return found;
}

/** A damaged file in the cache counts as absent: it will be replaced. */
async function readCached(path: string, wanted: LockedPackage): Promise<Buffer | undefined> {
  try {
    return verified(await readFile(path), wanted);
  } catch {
    return undefined;
  }
}

export function verified(content: Buffer, wanted: LockedPackage): Buffer {
  const sha256 = createHash('sha256').update(content).digest('hex');
  if (content.length === wanted.size && sha256 === wanted.sha256) return content;
  throw new CrashcartError(
    reasons.Invalid,
    `${wanted.path} has ${content.length} bytes with sha256 ${sha256}, the lock says ${wanted.size} with ${wanted.sha256}; do not use this mirror.`,
  );
}
