/** Kernels of Debian's archive: found in its signed index, fetched, and unpacked into the cache. Nothing is installed. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withIndex } from '../../builder/debian/apt-index.ts';
import { cacheDirectory, readPackage } from '../../builder/debian/cache.ts';
import { unpackDeb } from '../../builder/debian/deb.ts';
import { findMirror } from '../../builder/debian/mirror.ts';
import type { Candidate, PackageIndex } from '../../builder/debian/package-index.ts';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { decompressed, inLoadOrder, moduleName } from './modules.ts';

/** A release of Debian, and whether its backports count. */
export interface Suite {
  readonly name: string;
  readonly backports: boolean;
}

export const nameOf = ({ name, backports }: Suite): string => (backports ? `${name}-backports` : name);

/** The oldest one that we support and is still kept up, the current one's, and the newest that there is. */
export const suites: readonly Suite[] = [
  { name: 'bookworm', backports: false },
  { name: 'trixie', backports: false },
  { name: 'trixie', backports: true },
];

export interface DebianKernel {
  /** The package, with its version. */
  readonly name: string;
  readonly image: string;
  readonly modulesDirectory: string;
  /** Files in that directory, each after those that it needs. */
  readonly modules: readonly string[];
}

/** What the guest needs to reach the checkout and a disk, and what Crashcart and its tests need of a node. */
const wanted = ['virtio_pci', 'virtio_blk', 'ext4', '9p', '9pnet_virtio', 'overlay', 'erofs', 'loop', 'fuse'];
/** Asked for by name at run time (ext4, erofs), so that no module says that it needs it; newer kernels have it built in. */
const wantedIfThere = ['crc32c_generic'];

/** The suite's kernel. What is in the cache is used again for a week: kernels get security updates. */
export async function debianKernel(suite: Suite, say: (line: string) => void): Promise<DebianKernel> {
  const directory = join(cacheDirectory(process.env), 'kernels', nameOf(suite));
  const description = join(directory, 'kernel.json');
  if (existsSync(description)) {
    const { fetchedAt, ...kernel } = JSON.parse(await readFile(description, 'utf8')) as Description;
    if (Date.now() - fetchedAt < fetchedAgainAfterMs) return atPlace(kernel, directory);
  }
  say(`fetching the kernel of ${nameOf(suite)} ...`);
  const packages = await findPackages(suite);
  await mkdir(join(directory, '..'), { recursive: true });
  const scratch = await mkdtemp(`${directory}.`);
  try {
    await mkdir(join(scratch, 'modules'));
    const kernel = await unpack(packages, scratch);
    await writeFile(
      join(scratch, 'kernel.json'),
      JSON.stringify({ ...kernel, fetchedAt: Date.now() } satisfies Description),
    );
    await rm(directory, { recursive: true, force: true });
    await rename(scratch, directory);
    return atPlace(kernel, directory);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

const fetchedAgainAfterMs = 7 * 86_400_000;

interface Unpacked {
  readonly name: string;
  readonly modules: readonly string[];
}

interface Description extends Unpacked {
  readonly fetchedAt: number;
}

const atPlace = ({ name, modules }: Unpacked, directory: string): DebianKernel => ({
  name,
  image: join(directory, 'vmlinuz'),
  modulesDirectory: join(directory, 'modules'),
  modules,
});

/** The packages that the metapackage leads to and that have files of the kernel; the one with the image first. */
async function findPackages({ name, backports }: Suite): Promise<readonly Candidate[]> {
  const mirrors = { debian: findMirror(process.env), 'debian-security': findMirror(process.env, 'debian-security') };
  return withIndex(mirrors, name, 'amd64', { backports }, async ({ index }) => {
    const found = new Map<string, Candidate>();
    follow(index, 'linux-image-amd64', found);
    return [...found.values()];
  });
}

function follow(index: PackageIndex, name: string, found: Map<string, Candidate>): void {
  const candidate = index.get(name);
  if (candidate === undefined) throw new CrashcartError(reasons.NotFound, `The suite has no package ${name}.`);
  if (found.has(name)) return;
  found.set(name, candidate);
  for (const demand of candidate.depends.flat())
    if (/^linux-(image|binary|modules|base)-/.test(demand.name)) follow(index, demand.name, found);
}

async function unpack(packages: readonly Candidate[], directory: string): Promise<Unpacked> {
  const modules = new Map<string, Buffer>();
  const builtIn = new Set<string>();
  let image: string | undefined;
  for (const candidate of packages) {
    const locked = { ...candidate, depends: [], groups: [] };
    const deb = await readPackage(locked, { environment: process.env, date: '' });
    for await (const member of unpackDeb(candidate.name, deb)) {
      if (member.type !== 'file' || !('content' in member)) continue;
      const path = member.path.replace(/^usr\//, '');
      if (/^(boot|lib\/modules\/[^/]+)\/vmlinuz(-|$)/.test(path)) {
        await writeFile(join(directory, 'vmlinuz'), member.content);
        image = `${candidate.name} ${candidate.version}`;
      } else if (/\/modules\.builtin$/.test(path)) {
        for (const line of String(member.content).split('\n')) builtIn.add(moduleName(line));
      } else if (/\.ko(\.xz|\.zst)?$/.test(path) && mayBeNeeded.test(path)) {
        modules.set(path, Buffer.from(member.content));
      }
    }
  }
  if (image === undefined)
    throw new CrashcartError(reasons.NotFound, `No package of ${packages.map(({ name }) => name)} has a kernel.`);
  const files: string[] = [];
  for (const { name, content } of await inLoadOrder({ modules, builtIn }, wanted, wantedIfThere)) {
    files.push(`${name}.ko`);
    await writeFile(join(directory, 'modules', `${name}.ko`), await decompressed(content));
  }
  return { name: image, modules: files };
}

/** Where what is wanted, and what that needs, can be: a kernel has thousands of modules. */
const mayBeNeeded = /\/kernel\/(fs|lib|crypto|arch|net\/9p|drivers\/(block|virtio|crypto))\//;
