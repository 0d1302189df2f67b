import type { TarEntry } from '../oci/tar.ts';

/** A member of an archive. A hard link has the content of the file that it names, which came before it. */
export type TarMember = TarEntry | { path: string; type: 'hardlink'; target: string };

const blockBytes = 512;
/** Far above any file of a package of ours; below what would hurt the machine. */
const largestFileBytes = 512 * 1024 * 1024;

/**
 * The files, directories and links of an uncompressed tar as dpkg writes it (ustar with GNU long names), one at a time. Paths lose
 * their leading `./`. Throws an Error for a bad checksum, a cut archive, a path that leaves the root, or a kind of member that no
 * package of ours should have.
 */
export async function* readTar(archive: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<TarMember> {
  const bytes = new ByteReader(archive);
  let longName: string | undefined;
  let longLink: string | undefined;
  for (;;) {
    const at = bytes.position;
    const header = await bytes.take(blockBytes);
    if (header.length === 0 || header.every((byte) => byte === 0)) return;
    if (header.length < blockBytes) throw cut(at);
    checkSum(header, at);
    const size = octal(header, 124, 12);
    if (size > largestFileBytes) throw new Error(`the member at byte ${at} has ${size} bytes`);
    const padded = await bytes.take(Math.ceil(size / blockBytes) * blockBytes);
    const content = padded.subarray(0, size);
    if (content.length < size) throw cut(at);
    const flag = String.fromCharCode(header[156] ?? 0);
    if (flag === 'L') longName = text(content, 0, size);
    else if (flag === 'K') longLink = text(content, 0, size);
    else {
      const path = plainPath(longName ?? name(header));
      const target = longLink ?? text(header, 157, 100);
      [longName, longLink] = [undefined, undefined];
      if (path !== '') yield memberOf({ flag, path, target, mode: octal(header, 100, 8) }, content);
    }
  }
}

const cut = (at: number): Error => new Error(`the member at byte ${at} is cut short`);

/** Takes exact numbers of bytes out of chunks of any size. */
class ByteReader {
  position = 0;
  readonly #chunks: AsyncIterator<Buffer> | Iterator<Buffer>;
  #left: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer> | Iterable<Buffer>) {
    this.#chunks = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  }

  /** That many bytes, fewer only at the end of the source. */
  async take(count: number): Promise<Buffer> {
    const parts = [this.#left];
    let there = this.#left.length;
    while (there < count) {
      const next = await this.#chunks.next();
      if (next.done) break;
      parts.push(next.value);
      there += next.value.length;
    }
    const whole = parts.length === 1 ? this.#left : Buffer.concat(parts, there);
    this.#left = whole.subarray(count);
    this.position += Math.min(count, there);
    return whole.subarray(0, count);
  }
}

interface Member {
  flag: string;
  path: string;
  target: string;
  mode: number;
}

function memberOf({ flag, path, target, mode }: Member, content: Buffer): TarMember {
  switch (flag) {
    case '5':
      return { path, type: 'directory', mode };
    case '2':
      return { path, type: 'symlink', target };
    case '0':
    case '\0':
      return { path, type: 'file', mode, content };
    case '1':
      return { path, type: 'hardlink', target: plainPath(target) };
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
