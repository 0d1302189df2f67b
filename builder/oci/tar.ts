import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { CrashcartError, reasons } from '../../src/base/errors.ts';

/**
 * One thing in an archive. `path` is relative, without a leading slash; parent directories need no entry of their own,
 * and `.` is the root itself.
 * The mode is never taken from the disk: a builder's umask must not reach the image.
 */
export type TarEntry =
  | { path: string; type: 'directory'; mode?: number; uid?: number; gid?: number }
  | { path: string; type: 'symlink'; target: string }
  | { path: string; type: 'file'; mode?: number; uid?: number; gid?: number; content: string | Uint8Array }
  | { path: string; type: 'file'; mode?: number; uid?: number; gid?: number; source: string }
  /** Read when it is written: a tree need not be in memory. */
  | {
      path: string;
      type: 'file';
      mode?: number;
      uid?: number;
      gid?: number;
      size: number;
      read: () => Promise<Uint8Array>;
    };

const blockBytes = 512;
/** ustar: eleven octal digits. */
const largestBytes = 0o77777777777;
const typeFlags = { file: '0', symlink: '2', directory: '5' } as const;

/**
 * A POSIX ustar archive of the entries, sorted, every time stamp `epoch` (seconds), owner 0 unless an entry says
 * otherwise: the same entries give the same bytes on every machine. Throws Invalid for what ustar cannot carry.
 */
export async function* tarStream(entries: readonly TarEntry[], epoch: number): AsyncGenerator<Uint8Array> {
  for (const entry of complete(entries)) {
    const size = await sizeOf(entry);
    yield header(entry, size, epoch);
    if (entry.type !== 'file') continue;
    yield* body(entry, size);
    yield Buffer.alloc((blockBytes - (size % blockBytes)) % blockBytes);
  }
  yield Buffer.alloc(2 * blockBytes);
}

/** The entries with every missing parent directory, in the order of their bytes. */
function complete(entries: readonly TarEntry[]): TarEntry[] {
  const byPath = new Map<string, TarEntry>();
  for (const entry of entries) {
    if (byPath.has(entry.path)) throw invalid(`${entry.path} is in the archive twice`);
    if (!isPlain(entry.path)) throw invalid(`${entry.path} is not a plain relative path`);
    byPath.set(entry.path, entry);
  }
  for (const { path } of entries) {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const parent = path.slice(0, at);
      if (!byPath.has(parent)) byPath.set(parent, { path: parent, type: 'directory' });
    }
  }
  return [...byPath.values()].sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
}

const isPlain = (path: string) =>
  path === '.' || path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');

async function sizeOf(entry: TarEntry): Promise<number> {
  if (entry.type !== 'file') return 0;
  if ('read' in entry) return entry.size;
  const size = 'source' in entry ? (await stat(entry.source)).size : Buffer.byteLength(entry.content);
  if (size > largestBytes) throw invalid(`${entry.path} has ${size} bytes, more than ustar can carry`);
  return size;
}

async function* body(entry: TarEntry & { type: 'file' }, size: number): AsyncGenerator<Uint8Array> {
  if ('content' in entry) {
    yield Buffer.from(entry.content);
    return;
  }
  if ('read' in entry) {
    const content = await entry.read();
    if (content.length !== size) throw invalid(`${entry.path} has ${content.length} bytes instead of ${size}`);
    yield content;
    return;
  }
  let seen = 0;
  for await (const chunk of createReadStream(entry.source)) {
    const bytes: Buffer = chunk;
    seen += bytes.length;
    yield bytes;
  }
  if (seen !== size) throw invalid(`${entry.source} changed while it was read; build again`);
}

function header(entry: TarEntry, size: number, epoch: number): Buffer {
  const block = Buffer.alloc(blockBytes);
  const directory = entry.type === 'directory';
  const [prefix, name] = splitName(directory ? `${entry.path}/` : entry.path);
  const octal = (value: number, at: number, length: number) =>
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1');
  block.write(name, 0);
  octal(entry.type === 'symlink' ? 0o777 : (entry.mode ?? (directory ? 0o755 : 0o644)), 100, 8);
  octal(entry.type === 'symlink' ? 0 : (entry.uid ?? 0), 108, 8);
  octal(entry.type === 'symlink' ? 0 : (entry.gid ?? 0), 116, 8);
  octal(size, 124, 12);
  octal(epoch, 136, 12);
  block.write(typeFlags[entry.type], 156);
  if (entry.type === 'symlink') {
    if (Buffer.byteLength(entry.target) > 100) throw invalid(`the target of ${entry.path} is too long for ustar`);
    block.write(entry.target, 157);
  }
  block.write('ustar\x0000', 257, 'latin1');
  octal(0, 329, 8);
  octal(0, 337, 8);
  block.write(prefix, 345);
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** ustar carries 100 bytes of name and, apart from them, 155 bytes of directories before it. */
function splitName(path: string): [string, string] {
  if (Buffer.byteLength(path) <= 100) return ['', path];
  for (let at = path.indexOf('/'); at > 0 && at < path.length - 1; at = path.indexOf('/', at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)];
    if (Buffer.byteLength(prefix) <= 155 && Buffer.byteLength(name) <= 100) return [prefix, name];
  }
  throw invalid(`${path} is too long a path for ustar`);
}

const invalid = (problem: string) => new CrashcartError(reasons.Invalid, `Cannot write the archive: ${problem}.`);

export const tarReadable = (entries: readonly TarEntry[], epoch: number): Readable =>
  Readable.from(tarStream(entries, epoch), { objectMode: false });
