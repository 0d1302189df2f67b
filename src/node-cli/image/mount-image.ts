import { closeSync, openSync, readSync } from 'node:fs';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { hasErrno } from '../../linux/errno.ts';
import type { Fd, Kernel } from '../../linux/kernel.ts';
import { attachLoop } from '../../linux/loop.ts';
import { mountAttribute, mountDetached } from '../../linux/mount.ts';

const attributes = mountAttribute.readOnly | mountAttribute.noSuid | mountAttribute.noDev;

interface Format {
  readonly type: string;
  readonly options: Readonly<Record<string, string>>;
  readonly offset: number;
  readonly magic: string;
}

/** erofs is what the builder makes; an image of the original is ext3, and squashfs is what others make of a tree. */
const formats: readonly Format[] = [
  { type: 'erofs', options: {}, offset: 1024, magic: 'e2e1f5e0' },
  { type: 'squashfs', options: {}, offset: 0, magic: '68737173' },
  // Its journal is not replayed: that would write.
  { type: 'ext4', options: { noload: '' }, offset: 1080, magic: '53ef' },
];

/** A mount that nobody sees yet, of a new superblock. Throws Invalid for a file that is no image. */
export function mountImage(kernel: Kernel, file: string): { readonly mount: Fd; readonly how: 'file' | 'loop device' } {
  const { type, options } = formatOf(file);
  const mount = (source: string): Fd =>
    mountDetached(kernel, { type, options: { ro: '', source, ...options }, attributes });
  if (type === 'erofs') {
    try {
      return { mount: mount(file), how: 'file' };
    } catch (error) {
      if (!hasErrno(error, 'ENOTBLK')) throw error;
    }
  }
  // Read-only, and freed by the kernel with the last mount of it.
  using device = attachLoop(kernel, file);
  return { mount: mount(device.path), how: 'loop device' };
}

function formatOf(file: string): Format {
  const fd = openSync(file, 'r');
  try {
    const start = Buffer.alloc(1100);
    readSync(fd, start, 0, start.length, 0);
    const found = formats.find(
      ({ offset, magic }) => start.toString('hex', offset, offset + magic.length / 2) === magic,
    );
    if (found) return found;
  } finally {
    closeSync(fd);
  }
  throw new CrashcartError(reasons.Invalid, `${file} is not an erofs, squashfs or ext image.`);
}
