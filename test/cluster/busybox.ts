import { fetchPackages } from '../../builder/debian/cache.ts';
import { unpackDeb } from '../../builder/debian/deb.ts';
import { hostArchitecture, readLock } from '../../builder/debian/lock.ts';
import { CrashcartError, reasons } from '../../src/base/errors.ts';

/** Debian's static busybox, the version that the toolbox's lock pins. */
export async function busyboxStatic(): Promise<Uint8Array> {
  const locked = readLock(hostArchitecture()).packages.filter((each) => each.name === 'busybox-static');
  for (const [name, deb] of await fetchPackages(locked, process.env)) {
    for (const entry of await unpackDeb(name, deb)) {
      if (entry.type === 'file' && 'content' in entry && /^(usr\/)?bin\/busybox$/.test(entry.path)) {
        return Buffer.from(entry.content);
      }
    }
  }
  throw new CrashcartError(reasons.NotFound, 'The lock of the builder has no busybox-static any more: pin it again.');
}
