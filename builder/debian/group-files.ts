import type { Tell } from '../step.ts';
import { fetchOptionsOf } from './cache.ts';
import { type Lock, packagesOf } from './lock.ts';
import { type Packed, unpackedPackages } from './unpacked.ts';

/** Everything that the packages of a group would install, by path; a later package wins where two have the same path. */
export async function groupFiles(
  lock: Lock,
  group: string,
  environment: NodeJS.ProcessEnv,
  tell?: Tell,
): Promise<ReadonlyMap<string, Packed>> {
  const files = new Map<string, Packed>();
  const packages = await unpackedPackages(packagesOf(lock, group), fetchOptionsOf(lock, environment, tell));
  for (const entries of packages.values()) for (const [path, entry] of entries) files.set(path, entry);
  return files;
}
