import { createWriteStream } from 'node:fs';
import { rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import type { HostTool } from '../debian/host-tools.ts';
import { type TarEntry, tarReadable } from '../oci/tar.ts';
import { inScratch } from '../scratch.ts';

/** Every mkfs would draw one by chance. */
const uuid = 'c4a54ca2-0000-4000-8000-000000000001';

export const formatNames = ['erofs', 'squashfs', 'ext4'] as const;
export type FormatName = (typeof formatNames)[number];

interface Format {
  suffix: string;
  /** Makes the file system out of a tar of the tree. */
  make: (tool: HostTool, tar: string, image: string, epoch: number) => Promise<void>;
}

const erofs =
  (...compression: string[]): Format['make'] =>
  async (tool, tar, image, epoch) => {
    const options = [...compression, `-T${epoch}`, `-U${uuid}`, '--all-root', '--quiet', '--tar=f'];
    await tool('usr/bin/mkfs.erofs', [...options, image, tar]);
  };

/**
 * lz4hc in 64 KiB clusters starts programs fastest from a cold cache, and needs Linux 5.13; its level 4 takes half the time of the
 * usual 9 for one percent more. `plain` is not compressed: what is compressed as a whole for the way is a third smaller. squashfs
 * and ext4 are for kernels without erofs.
 */
const formats: Readonly<Record<FormatName | 'plain', Format>> = {
  erofs: { suffix: 'erofs', make: erofs('-zlz4hc,level=4', '-C65536') },
  plain: { suffix: 'erofs', make: erofs() },
  squashfs: {
    suffix: 'squashfs',
    make: async (tool, tar, image, epoch) => {
      const times = ['-all-time', String(epoch), '-mkfs-time', String(epoch)];
      const options = ['-tar', '-all-root', ...times, '-comp', 'zstd', '-Xcompression-level', '15', '-b', '128K'];
      await tool('usr/bin/mksquashfs', ['-', image, ...options, '-noappend', '-no-progress', '-quiet'], {
        inputFile: tar,
        env: { SOURCE_DATE_EPOCH: undefined },
      });
    },
  },
  ext4: {
    suffix: 'ext4',
    make: async (tool, tar, image, epoch) => {
      // Room for the data, and for inodes and directories: what is left over is zeros.
      const kilobytes = Math.ceil(((await stat(tar)).size / 1024) * 1.12) + 8192;
      const features = ['-O', '^has_journal,^resize_inode', '-m', '0', '-N', '16384'];
      const fixed = ['-U', uuid, '-E', `hash_seed=${uuid},root_owner=0:0,lazy_itable_init=0`];
      await tool(
        'usr/sbin/mke2fs',
        ['-t', 'ext4', '-q', '-F', ...features, ...fixed, '-d', tar, image, `${kilobytes}k`],
        {
          env: { SOURCE_DATE_EPOCH: String(epoch), E2FSPROGS_FAKE_TIME: String(epoch), MKE2FS_CONFIG: '/dev/null' },
        },
      );
    },
  },
};

export const suffixOf = (format: FormatName): string => formats[format].suffix;

/**
 * Writes the entries as a file system image, replaced atomically. From a tar and with our own mkfs: neither umask nor uid nor the host's
 * version counts, and nothing is mounted.
 */
export async function writeFileSystem(
  format: FormatName | 'plain',
  entries: readonly TarEntry[],
  out: string,
  epoch: number,
  tool: HostTool,
): Promise<void> {
  try {
    await inScratch(out, async (scratch) => {
      const tar = join(scratch, 'tree.tar');
      const image = join(scratch, 'image');
      await pipeline(tarReadable(entries, epoch), createWriteStream(tar));
      await formats[format].make(tool, tar, image, epoch);
      await rename(image, out);
    });
  } catch (cause) {
    throw isFull(cause)
      ? new CrashcartError(
          reasons.Unavailable,
          `No room for ${out}: free some on its disk and build again; nothing half-made is left.`,
          { cause },
        )
      : cause;
  }
}

const isFull = (error: unknown): boolean =>
  error instanceof Error &&
  (('code' in error && error.code === 'ENOSPC') || /no space left|ENOSPC/i.test(error.message));
