import { writeFile } from 'node:fs/promises';
import { fetchIndex } from './debian/apt-index.ts';
import { architectures, type Lock, lockUrl, parseLock } from './debian/lock.ts';
import { findMirror } from './debian/mirror.ts';
import { resolve } from './debian/resolve.ts';
import wanted from './packages.json' with { type: 'json' };

/**
 * Writes the lock of every architecture from what the mirror has now. The date of the suite's release file becomes the
 * time stamp of everything that is built from the lock.
 */
export async function makeLocks(environment: NodeJS.ProcessEnv): Promise<string[]> {
  const mirror = findMirror(environment);
  const told: string[] = [];
  for (const architecture of architectures) {
    const { packages, epoch } = await fetchIndex(mirror, wanted.suite, architecture);
    const groups = architecture === 'amd64' ? wanted.groups : forArchitecture(architecture);
    const lock: Lock = { suite: wanted.suite, architecture, epoch, packages: resolve(packages, groups) };
    const text = `${JSON.stringify(lock, null, 2)}\n`;
    parseLock(text);
    await writeFile(lockUrl(architecture), text);
    told.push(`${lock.packages.length} packages of ${lock.suite} for ${architecture}`);
  }
  return told;
}

/** binutils is packaged by target: the same program under another name. */
const forArchitecture = (architecture: 'arm64') => ({
  ...wanted.groups,
  host: wanted.groups.host.map((name) =>
    name === 'binutils-x86-64-linux-gnu' && architecture === 'arm64' ? 'binutils-aarch64-linux-gnu' : name,
  ),
});
