import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { mkdir, open, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { type Elf, readElf } from '../elf/elf.ts';
import type { TarEntry } from '../oci/tar.ts';
import { inScratch } from '../scratch.ts';
import { cacheDirectory, type FetchOptions, fetchPackages, readPackage } from './cache.ts';
import { unpackDeb } from './deb.ts';
import type { LockedPackage } from './lock.ts';

/** A file of a package. Its bytes stay in the cache until somebody reads them. */
export interface PackedFile {
  path: string;
  type: 'file';
  mode: number;
  size: number;
  /** Of its content: the same for two paths of one file, and for copies of it. */
  sha256: string;
  elf?: Elf;
  /** Paths below /usr that a program has as whole strings: what it may look for. */
  mentions?: readonly string[];
  /** Begins with `#!`: the rest of that line. */
  interpreter?: string;
  /** Of a manual page: what the page says in a few words. */
  whatis?: string;
  read: () => Promise<Buffer>;
}

export type Packed = PackedFile | { path: string; type: 'symlink'; target: string };

interface Row extends Omit<PackedFile, 'read' | 'type' | 'path'> {
  at: number;
}
type Index = Record<string, Row | { target: string }>;

/** Another number makes every package be unpacked again: say so when what stands in the cache changes its form. */
const format = 4;
/** At once; xz, not Node, is what takes the time. */
const parallel = 2;

/** What no program reads at run time. Copyright files stay. */
const unwanted =
  /^usr\/share\/(locale|info|lintian|bug|doc-base|help|menu|icons|applications|pixmaps|man\/[a-z_@.A-Z]+\/man\d)\/|^usr\/share\/doc\/(?![^/]+\/copyright$)|^usr\/bin\/qemu-(?!aarch64$|x86_64$)/;

/**
 * What a package installs, by path. Unpacked once for all builds into two files of the cache: the contents one after the other, and an
 * index with what a build must know of every file (programs, scripts, manual pages), so that it reads only what it takes.
 */
export async function unpackedPackage(
  wanted: LockedPackage,
  options: FetchOptions,
): Promise<ReadonlyMap<string, Packed>> {
  const directory = join(cacheDirectory(options.environment), `unpacked-${format}`);
  const stem = join(directory, wanted.sha256);
  if (!existsSync(`${stem}.json`)) await unpack(wanted, directory, options);
  return entriesOf(JSON.parse(await readFile(`${stem}.json`, 'utf8')), `${stem}.pack`);
}

/** All of them, in the given order; missing ones are fetched together and unpacked in parallel. */
export async function unpackedPackages(
  wanted: readonly LockedPackage[],
  options: FetchOptions,
): Promise<ReadonlyMap<string, ReadonlyMap<string, Packed>>> {
  const directory = join(cacheDirectory(options.environment), `unpacked-${format}`);
  const missing = wanted.filter(({ sha256 }) => !existsSync(join(directory, `${sha256}.json`)));
  await fetchPackages(missing, options);
  if (missing.length > 0) options.tell?.(`unpacking ${missing.length} packages ...`);
  // The largest first, so that none of them is left for the end alone.
  const queue = missing.toSorted((a, b) => b.size - a.size);
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) await unpack(next, directory, options);
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  const found = new Map<string, ReadonlyMap<string, Packed>>();
  for (const each of wanted) found.set(each.name, await unpackedPackage(each, options));
  return found;
}

async function unpack(wanted: LockedPackage, directory: string, options: FetchOptions): Promise<void> {
  await mkdir(directory, { recursive: true });
  const deb = await readPackage(wanted, options);
  await inScratch(join(directory, 'unpack'), async (scratch) => {
    const index = await writePack(join(scratch, 'pack'), wanted.name, deb);
    await writeFile(join(scratch, 'index'), JSON.stringify(index));
    // The index last: with it the package counts as unpacked.
    await rename(join(scratch, 'pack'), join(directory, `${wanted.sha256}.pack`));
    await rename(join(scratch, 'index'), join(directory, `${wanted.sha256}.json`));
  });
}

async function writePack(path: string, name: string, deb: Buffer): Promise<Index> {
  const index: Index = {};
  const pack = await open(path, 'wx');
  try {
    let at = 0;
    for await (const member of unpackDeb(name, deb)) {
      if (member.type === 'directory') continue;
      if (member.type === 'symlink') index[member.path] = { target: member.target };
      else if (member.type === 'hardlink') {
        const original = index[plainPage(member.target)];
        if (original) index[plainPage(member.path)] = original;
      } else if (!unwanted.test(member.path) && 'content' in member) {
        const path = plainPage(member.path);
        const content = path === member.path ? Buffer.from(member.content) : gunzipSync(member.content);
        index[path] = {
          at,
          mode: member.mode ?? 0o644,
          size: content.length,
          sha256: createHash('sha256').update(content).digest('hex'),
          ...described(path, content),
        };
        await pack.write(content);
        at += content.length;
      }
    }
  } finally {
    await pack.close();
  }
  return index;
}

/** Manual pages stand unpacked: what is compressed as a whole later gets smaller so. */
const plainPage = (path: string): string => path.replace(/^(usr\/share\/man\/man\d\/[^/]+)\.gz$/, '$1');

function described(path: string, content: Buffer): Pick<PackedFile, 'elf' | 'mentions' | 'interpreter' | 'whatis'> {
  const manual = /^usr\/share\/man\/man[18]\//.test(path);
  if (manual) {
    const whatis = whatisOf(content.toString('latin1'));
    return whatis === undefined ? {} : { whatis };
  }
  try {
    const elf = readElf(content);
    if (elf) {
      const mentions = mentionedIn(content);
      return mentions.length > 0 ? { elf, mentions } : { elf };
    }
  } catch (cause) {
    throw new CrashcartError(reasons.Invalid, `${path} is an ELF file that cannot be read.`, { cause });
  }
  const line = content.subarray(0, 256).toString('latin1').split('\n')[0] ?? '';
  return line.startsWith('#!') ? { interpreter: line.slice(2).trim() } : {};
}

const mostMentions = 200;

function mentionedIn(content: Buffer): string[] {
  const found = new Set<string>();
  const needle = Buffer.from('\0/usr/');
  for (let at = content.indexOf(needle); at >= 0 && found.size < mostMentions; at = content.indexOf(needle, at + 1)) {
    const end = content.indexOf(0, at + 1);
    const text = content.toString('latin1', at + 1, Math.min(end < 0 ? content.length : end, at + 160));
    if (/^\/usr\/(share|lib|libexec)\/[\w@.+/-]+$/.test(text)) found.add(text);
  }
  return [...found];
}

/** What a manual page says after `NAME \- `, without the markup of man or mdoc. */
export function whatisOf(page: string): string | undefined {
  const section = /^\.S[hH]\s+"?NAME"?\s*\n([\s\S]*?)(?=^\.S[hH]\s|$(?![\s\S]))/m.exec(page)?.[1];
  if (section === undefined) return undefined;
  const plain = section
    .split('\n')
    .filter((line) => !/^(\.\\"|'\\"|\.(PD|ad|hy|ie|el|if|ds|de|nr|in|sp|PP|TP|Sp|ne|nh|\.)\b)/.test(line))
    .map((line) => line.replace(/^\.Nd\s+/, ' - ').replace(/^\.[A-Z][A-Za-z]\s*/, ''))
    .join(' ')
    .replace(/\\f(\[[^\]]*\]|\(..|.)|\\s[-+]?\d|\\[&|^/,]/g, '')
    .replace(/\\\((em|en|hy)|\\\[(em|en|hy)\]/g, '-')
    .replace(/\\\(aq|\\\[aq\]|\\'|\\\(cq|\\\(oq/g, "'")
    .replace(/\\\((lq|rq|dq)|\\\[(lq|rq|dq)\]/g, '"')
    .replace(/\\-/g, '-')
    .replace(/\\e/g, '\\')
    .replace(/\s+/g, ' ')
    .trim();
  const found = /^.*?\s-{1,3}\s+(.+)$/.exec(plain)?.[1] ?? '';
  const text = found
    .replace(/[^\x20-\x7e]/g, '')
    .replace(/\.$/, '')
    .trim();
  return text === '' ? undefined : text;
}

function entriesOf(index: Index, pack: string): ReadonlyMap<string, Packed> {
  return new Map(
    Object.entries(index).map(([path, row]): [string, Packed] => {
      if ('target' in row) return [path, { path, type: 'symlink', target: row.target }];
      const { at, ...rest } = row;
      return [path, { path, type: 'file', ...rest, read: async () => readPart(pack, at, row.size) }];
    }),
  );
}

/** At once: thousands of small files through a pool of threads take longer than they take to read. */
function readPart(path: string, at: number, size: number): Buffer {
  const file = openSync(path, 'r');
  try {
    const content = Buffer.allocUnsafe(size);
    if (readSync(file, content, 0, size, at) === size) return content;
    throw new CrashcartError(reasons.Invalid, `${path} in the cache is damaged; remove it and build again.`);
  } finally {
    closeSync(file);
  }
}

/** As an entry of an archive, at another path if one is given. */
export const entryOf = (packed: Packed, path = packed.path): TarEntry =>
  packed.type === 'symlink'
    ? { path, type: 'symlink', target: packed.target }
    : { path, type: 'file', mode: packed.mode & 0o111 ? 0o755 : 0o644, size: packed.size, read: packed.read };
