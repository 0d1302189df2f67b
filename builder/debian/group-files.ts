import type { TarEntry } from '../oci/tar.ts';
import { fetchPackages } from './cache.ts';
import { unpackDeb } from './deb.ts';
import { type Lock, packagesOf } from './lock.ts';

/** Everything that the packages of a group would install, by path; a later package wins where two have the same path. */
export async function groupFiles(
  lock: Lock,
  group: string,
  environment: NodeJS.ProcessEnv,
): Promise<ReadonlyMap<string, TarEntry>> {
  const packages = packagesOf(lock, group);
  const debs = await fetchPackages(packages, environment);
  const files = new Map<string, TarEntry>();
  for (const { name } of packages) {
    for (const entry of await unpackDeb(name, debs.get(name) ?? Buffer.alloc(0))) files.set(entry.path, entry);
  }
  return files;
}
