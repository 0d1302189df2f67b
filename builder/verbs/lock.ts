import { rename, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { fetchIndex } from '../debian/apt-index.ts';
import { type Architecture, architectures, type Lock, lockText, lockUrl, parseLock, readLock } from '../debian/lock.ts';
import { findMirror } from '../debian/mirror.ts';
import type { PackageIndex } from '../debian/package-index.ts';
import { packagesFile, packagesIn, readPackages, type Section } from '../debian/packages-file.ts';
import { resolve } from '../debian/resolve.ts';
import type { Tell } from '../step.ts';

/** Debian's release that everything comes from. */
export const suite = 'trixie';

export interface LockOptions {
  sections?: readonly Section[];
  /** What the lock has keeps its version, and the lock its date. */
  keep?: boolean;
}

/**
 * Writes the lock of every architecture from what the mirrors have now. The date of the newest release file becomes the time stamp of
 * everything that is built from the lock. All locks are replaced, or none.
 */
export async function makeLocks(
  environment: NodeJS.ProcessEnv,
  tell: Tell,
  { sections = readPackages(), keep = false }: LockOptions = {},
): Promise<void> {
  const mirrors = { debian: findMirror(environment), 'debian-security': findMirror(environment, 'debian-security') };
  const locks: Lock[] = [];
  for (const architecture of architectures) {
    tell(`${architecture}: fetching the index of ${suite} ...`);
    const { index, epoch } = await fetchIndex(mirrors, suite, architecture);
    const fresh = lockOf(index, sections, architecture, epoch);
    locks.push(keep ? keeping(readLock(architecture), fresh) : fresh);
  }
  for (const lock of locks) {
    const path = fileURLToPath(lockUrl(lock.architecture));
    await writeFile(`${path}.new`, lockText(lock));
    await rename(`${path}.new`, path);
    tell(`${lock.architecture}: ${lock.packages.length} packages of ${suite}, as of ${lock.date}`);
  }
}

/** The new lock with the versions of the old one where that has them. */
export function keeping(old: Lock, fresh: Lock): Lock {
  const known = new Map(old.packages.map((locked) => [locked.name, locked]));
  return {
    ...fresh,
    epoch: old.epoch,
    date: old.date,
    packages: fresh.packages.map((locked) => {
      const kept = known.get(locked.name);
      return kept ? { ...kept, groups: locked.groups, depends: locked.depends } : locked;
    }),
  };
}

/** What the sections come to, by an index. */
export function lockOf(
  index: PackageIndex,
  sections: readonly Section[],
  architecture: Architecture,
  epoch: number,
): Lock {
  const packages = new Map<
    string,
    { groups: string[]; depends: Set<string>; found: ReturnType<typeof resolve>[number] }
  >();
  for (const section of sections) {
    const names = packagesIn(section, architecture).map(({ name }) => name);
    for (const found of resolve(index, names, packagesFile)) {
      const known = packages.get(found.name) ?? { groups: [], depends: new Set(), found };
      known.groups.push(section.name);
      for (const name of found.chosen) known.depends.add(name);
      packages.set(found.name, known);
    }
  }
  const lock: Lock = {
    suite,
    architecture,
    epoch,
    date: new Date(epoch * 1000).toISOString().replace('.000Z', 'Z'),
    packages: [...packages.entries()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(
        ([
          name,
          {
            groups,
            depends,
            found: { version, source, archive, path, size, sha256 },
          },
        ]) => ({
          name,
          version,
          source,
          archive,
          path,
          size,
          sha256,
          groups,
          depends: [...depends].sort(),
        }),
      ),
  };
  // What could not be read back is not written.
  return parseLock(lockText(lock));
}
