import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { HostTool } from '../debian/host-tools.ts';
import { type TarEntry, tarReadable } from '../oci/tar.ts';

/** mkfs would draw one by chance. */
const uuid = 'c4a54ca2-0000-4000-8000-000000000001';

/**
 * Writes the entries as an erofs image, replaced atomically. lz4hc in 64 KiB clusters starts programs fastest from a cold
 * cache and needs Linux 5.13. From a tar and with our own mkfs: neither umask nor uid nor the host's version counts.
 */
export async function writeErofs(
  entries: readonly TarEntry[],
  out: string,
  epoch: number,
  tool: HostTool,
): Promise<void> {
  await mkdir(dirname(out), { recursive: true });
  const scratch = await mkdtemp(`${out}.`);
  try {
    const tar = join(scratch, 'tree.tar');
    const image = join(scratch, 'image.erofs');
    await pipeline(tarReadable(entries, epoch), createWriteStream(tar));
    const options = ['-zlz4hc', '-C65536', `-T${epoch}`, `-U${uuid}`, '--all-root', '--quiet', '--tar=f'];
    await tool('usr/bin/mkfs.erofs', [...options, image, tar]);
    await rename(image, out);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
