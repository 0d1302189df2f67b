import { fetchOptionsOf } from '../../builder/debian/cache.ts';
import { hostArchitecture, readLock } from '../../builder/debian/lock.ts';
import { unpackedPackage } from '../../builder/debian/unpacked.ts';
import { CrashcartError, reasons } from '../../src/base/errors.ts';

/** Debian's static busybox, the version that the toolbox's lock pins. */
export async function busyboxStatic(): Promise<Uint8Array> {
  const lock = readLock(hostArchitecture());
  const locked = lock.packages.find(({ name }) => name === 'busybox-static');
  const files = locked && (await unpackedPackage(locked, fetchOptionsOf(lock, process.env)));
  const busybox = files?.get('usr/bin/busybox') ?? files?.get('bin/busybox');
  if (busybox?.type === 'file') return busybox.read();
  throw new CrashcartError(reasons.NotFound, 'The lock of the builder has no busybox-static any more: pin it again.');
}
