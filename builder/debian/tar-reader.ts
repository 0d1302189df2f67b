import type { TarEntry } from '../oci/tar.ts';

const blockBytes = 512;

/**
 * The files, directories and links of an uncompressed tar as dpkg writes it (ustar with GNU long names). A hard link
 * becomes a copy. Paths lose their leading `./`. Throws an Error for a bad checksum, a cut archive, a path that leaves
 * the root, or a kind of member that no package of ours should have.
 */
export function readTar(archive: Buffer): TarEntry[] {
  const entries = new Map<string, TarEntry>();
  let longName: string | undefined;
  let longLink: string | undefined;
  for (let at = 0; at + blockBytes <= archive.length; ) {
    const header = archive.subarray(at, at + blockBytes);
    if (header.every((byte) => byte === 0)) break;
    checkSum(header, at);
    const size = octal(header, 124, 12);
    const content = archive.subarray(at + blockBytes, at + blockBytes + size);
    if (content.length < size) throw new Error(`the member at byte ${at} is cut short`);
    at += blockBytes + Math.ceil(size / blockBytes) * blockBytes;
    const flag = String.fromCharCode(header[156] ?? 0);
    if (flag === 'L') longName = text(content, 0, size);
    else if (flag === 'K') longLink = text(content, 0, size);
    else {
      const path = plainPath(longName ?? name(header));
      const target = longLink ?? text(header, 157, 100);
      [longName, longLink] = [undefined, undefined];
      if (path !== '')
        entries.set(path, entryOf({ flag, path, target, mode: octal(header, 100, 8) }, content, entries));
    }
  }
  return [...entries.values()];
}

interface Member {
  flag: string;
  path: string;
  target: string;
  mode: number;
}

function entryOf({ flag, path, target, mode }: Member, content: Buffer, seen: ReadonlyMap<string, TarEntry>): TarEntry {
  switch (flag) {
    case '5':
      return { path, type: 'directory', mode };
    case '2':
      return { path, type: 'symlink', target };
    case '0':
    case '\0':
      return { path, type: 'file', mode, content };
    case '1': {
      const original = seen.get(plainPath(target));
      if (original?.type === 'file') return { ...original, path };
      throw new Error(`${path} is a link to ${target}, which is not in the archive`);
    }
    default:
      throw new Error(`${path} has the type "${flag}", which is not a file, directory or link`);
  }
}

function plainPath(raw: string): string {
  const path = raw.replace(/^(\.?\/)+/, '').replace(/\/+$/, '');
  if (path === '.' || path === '') return '';
  if (path.split('/').includes('..')) throw new Error(`${raw} leads out of the archive`);
  return path;
}

function name(header: Buffer): string {
  const prefix = header.toString('latin1', 257, 263) === 'ustar\0' ? text(header, 345, 155) : '';
  return prefix === '' ? text(header, 0, 100) : `${prefix}/${text(header, 0, 100)}`;
}

function checkSum(header: Buffer, at: number): void {
  const sum = header.reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 0x20 : byte), 0);
  if (sum !== octal(header, 148, 8)) throw new Error(`the header at byte ${at} has a wrong checksum`);
}

const octal = (block: Buffer, at: number, length: number): number => {
  const digits = text(block, at, length).trim();
  if (!/^[0-7]*$/.test(digits)) throw new Error(`"${digits}" is not an octal number`);
  return Number.parseInt(digits || '0', 8);
};

const text = (block: Buffer, at: number, length: number): string => {
  const end = block.indexOf(0, at);
  return block.toString('utf8', at, end < 0 || end > at + length ? at + length : end);
};
