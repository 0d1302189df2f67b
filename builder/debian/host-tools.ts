import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type RunOptions, run } from '../process.ts';
import { inScratch } from '../scratch.ts';
import { cacheDirectory } from './cache.ts';
import { groupFiles } from './group-files.ts';
import { layoutOf } from './layout.ts';
import { type Lock, packagesOf } from './lock.ts';
import type { Packed } from './unpacked.ts';

/** Runs a program of the lock's `host` packages, e.g. `usr/bin/mkfs.erofs`. */
export type HostTool = (program: string, args: readonly string[], options?: RunOptions) => Promise<Buffer>;

/**
 * The tools of the lock's `host` group, unpacked in the cache and started by their own dynamic loader: nothing is
 * installed, and the same mkfs and strip of the same version run on every machine, so what they write is the same.
 */
export async function hostTools(lock: Lock, environment: NodeJS.ProcessEnv): Promise<HostTool> {
  const root = await unpackedGroup(lock, 'host', environment);
  return (program, args, options) => {
    const [loader, ...rest] = startedIn(root, lock, program);
    return run(loader, [...rest, ...args], options);
  };
}

/** The command line that starts a program of a group of the lock; arguments follow. */
export async function hostToolCommand(
  lock: Lock,
  environment: NodeJS.ProcessEnv,
  program: string,
  group: string,
): Promise<readonly string[]> {
  return startedIn(await unpackedGroup(lock, group, environment), lock, program);
}

function startedIn(root: string, lock: Lock, program: string): [loader: string, ...args: string[]] {
  const { loader, libraries } = layoutOf(lock.architecture);
  return [join(root, libraries, loader), '--library-path', join(root, libraries), join(root, program)];
}

async function unpackedGroup(lock: Lock, group: string, environment: NodeJS.ProcessEnv): Promise<string> {
  const digests = packagesOf(lock, group).map(({ sha256 }) => sha256);
  const key = createHash('sha256').update(digests.join()).digest('hex').slice(0, 16);
  const root = join(cacheDirectory(environment), 'tools', `${key}-2`);
  if (!existsSync(root)) await unpackInto(root, await groupFiles(lock, group, environment));
  return root;
}

async function unpackInto(root: string, files: ReadonlyMap<string, Packed>): Promise<void> {
  await inScratch(root, async (scratch) => {
    const whole = join(scratch, 'root');
    for (const entry of files.values()) await place(whole, entry);
    try {
      await rename(whole, root);
    } catch (cause) {
      // Another build may have been faster; its tools are the same.
      if (!existsSync(root)) throw cause;
    }
  });
}

async function place(root: string, entry: Packed): Promise<void> {
  const path = join(root, entry.path);
  if (!/^usr\/(s?bin|lib)\//.test(entry.path)) return;
  await mkdir(dirname(path), { recursive: true });
  if (entry.type === 'symlink') await symlink(entry.target, path);
  else await writeFile(path, await entry.read(), { mode: entry.mode & 0o111 ? 0o755 : 0o644 });
}
