import { existsSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory } from '../debian/cache.ts';
import type { HostTool } from '../debian/host-tools.ts';
import { inScratch } from '../scratch.ts';
import type { Layer } from './archive.ts';

/**
 * How hard a layer is compressed. `ship` is for the way to a registry: a third of the size, and minutes of work. `local` is for a
 * cluster on this machine: seconds.
 */
export const levels = { ship: 19, local: 3 } as const;
export type Level = keyof typeof levels;

/** zstd gives the same bytes for any number of threads but none. */
const threads = 2;
/** What a thread takes at a time: half of what zstd would take makes the same size in 270 MB of memory instead of 365. */
const jobBytes = 16 * 1024 * 1024;
const timeoutMs = 1_800_000;

/** Compresses layers; results stay in the cache under the digest of what was compressed. */
export function zstdLayers(
  tool: HostTool,
  environment: NodeJS.ProcessEnv,
  level: Level,
): NonNullable<Layer['compress']> {
  const directory = join(cacheDirectory(environment), 'layers');
  return async (path, digest) => {
    const out = join(directory, `${digest.replace('sha256:', '')}-${levels[level]}-${jobBytes}.zst`);
    if (existsSync(out)) return out;
    await inScratch(join(directory, 'zstd'), async (scratch) => {
      const temporary = join(scratch, 'layer');
      await tool(
        'usr/bin/zstd',
        [`-${levels[level]}`, `-T${threads}`, `-B${jobBytes}`, '--quiet', '--no-progress', path, '-o', temporary],
        {
          timeoutMs,
        },
      );
      await rename(temporary, out);
    });
    return out;
  };
}
