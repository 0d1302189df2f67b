import { zstdDecompressSync } from 'node:zlib';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import type { TarEntry } from '../oci/tar.ts';
import { run } from '../process.ts';
import { arMembers } from './ar.ts';
import { readTar } from './tar-reader.ts';

/** Far above what a package of ours unpacks to; below what would hurt the machine. */
const mostUnpackedBytes = 1024 * 1024 * 1024;

/**
 * The files that a .deb would install. Its maintainer scripts are not looked at: nothing of a package runs here.
 * Throws Invalid when it is not a .deb that we can read.
 */
export async function unpackDeb(name: string, deb: Buffer): Promise<TarEntry[]> {
  try {
    const data = arMembers(deb).find((member) => member.name.startsWith('data.tar'));
    if (!data) throw new Error('there is no data.tar in it');
    return readTar(await decompressed(data.name, data.content));
  } catch (cause) {
    throw new CrashcartError(reasons.Invalid, `${name} is not a Debian package that can be unpacked.`, { cause });
  }
}

async function decompressed(name: string, content: Buffer): Promise<Buffer> {
  if (name === 'data.tar') return content;
  if (name === 'data.tar.zst') return zstdDecompressSync(content, { maxOutputLength: mostUnpackedBytes });
  // Node has no xz of its own.
  if (name === 'data.tar.xz') return run('xz', ['--decompress', '--stdout'], { input: content });
  throw new Error(`${name} has an unknown compression`);
}
