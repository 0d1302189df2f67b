import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory } from '../debian/cache.ts';
import type { HostTool } from '../debian/host-tools.ts';

/** The highest that a reader with the usual window can unpack. */
const level = 19;
/** zstd gives the same bytes for any number of threads but none. */
const threads = 2;
const timeoutMs = 1_800_000;

/**
 * Compresses layers for the way to a registry. It takes a minute for a whole toolbox, so results stay in the cache under the digest of
 * what was compressed.
 */
export function zstdLayers(
  tool: HostTool,
  environment: NodeJS.ProcessEnv,
): (path: string, digest: string) => Promise<string> {
  const directory = join(cacheDirectory(environment), 'layers');
  return async (path, digest) => {
    const out = join(directory, `${digest.replace('sha256:', '')}-${level}.zst`);
    if (existsSync(out)) return out;
    await mkdir(directory, { recursive: true });
    const scratch = await mkdtemp(`${out}.`);
    try {
      const temporary = join(scratch, 'layer');
      await tool('usr/bin/zstd', [`-${level}`, `-T${threads}`, '--quiet', '--no-progress', path, '-o', temporary], {
        timeoutMs,
      });
      await rename(temporary, out);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
    return out;
  };
}
