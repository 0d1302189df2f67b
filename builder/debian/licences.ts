import type { TarEntry } from '../oci/tar.ts';
import type { LockedPackage } from './lock.ts';
import { entryOf, type Packed } from './unpacked.ts';

/** The copyright file of every package, as `UNDER/NAME/copyright`. */
export function licencesOf(
  files: ReadonlyMap<string, Packed>,
  packages: readonly LockedPackage[],
  under: string,
): TarEntry[] {
  return packages.flatMap(({ name }) => {
    const entry = files.get(copyrightOf(files, name));
    return entry?.type === 'file' ? [entryOf(entry, `${under}/${name}/copyright`)] : [];
  });
}

/** A package may share its documentation directory with another one by a link: libstdc++6 does so with gcc-base. */
function copyrightOf(files: ReadonlyMap<string, Packed>, name: string): string {
  const directory = files.get(`usr/share/doc/${name}`);
  const shared = directory?.type === 'symlink' ? directory.target.replace(/^.*\//, '') : name;
  return `usr/share/doc/${shared}/copyright`;
}

/** What an image is made of, for people and scanners: with the source version one finds the source at Debian. */
export function packageList(packages: readonly LockedPackage[]): string {
  const list = packages.map(({ name, version, source, sha256 }) => ({ name, version, source, sha256 }));
  return `${JSON.stringify(list, null, 2)}\n`;
}
