import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { zstdDecompressSync } from 'node:zlib';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { arMembers } from './ar.ts';
import { readTar, type TarMember } from './tar-reader.ts';

/** Far above what a zstd package of ours unpacks to; below what would hurt the machine. */
const mostUnpackedBytes = 512 * 1024 * 1024;

/**
 * The files that a .deb would install, one at a time. Its maintainer scripts are not looked at: nothing of a package runs here.
 * Throws Invalid when it is not a .deb that we can read.
 */
export async function* unpackDeb(name: string, deb: Buffer): AsyncGenerator<TarMember> {
  try {
    const data = arMembers(deb).find((member) => member.name.startsWith('data.tar'));
    if (!data) throw new Error('there is no data.tar in it');
    yield* readTar(decompressed(data.name, data.content));
  } catch (cause) {
    throw new CrashcartError(reasons.Invalid, `${name} is not a Debian package that can be unpacked.`, { cause });
  }
}

function decompressed(name: string, content: Buffer): AsyncIterable<Buffer> | Iterable<Buffer> {
  if (name === 'data.tar') return [content];
  if (name === 'data.tar.zst') return [zstdDecompressSync(content, { maxOutputLength: mostUnpackedBytes })];
  if (name === 'data.tar.xz') return throughXz(content);
  throw new Error(`${name} has an unknown compression`);
}

/** Node has no xz of its own. */
async function* throughXz(content: Buffer): AsyncGenerator<Buffer> {
  const xz = spawn('xz', ['--decompress', '--stdout'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const closed = once(xz, 'close');
  closed.catch(() => {});
  // xz that ends before it has read everything says why by its exit status.
  xz.stdin.on('error', () => {});
  xz.stdin.end(content);
  try {
    for await (const chunk of xz.stdout) yield chunk;
    const [code] = await closed;
    if (code !== 0) throw new Error(`xz ended with ${code}: the compressed data are damaged`);
  } finally {
    xz.kill();
  }
}
