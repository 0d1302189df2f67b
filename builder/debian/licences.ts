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

/** Where a mirror has the description of a package's source, which names its files: beside the package. */
export const sourceFileOf = ({ path, source }: LockedPackage): string =>
  `${path.slice(0, path.lastIndexOf('/'))}/${source.replace(' ', '_').replace(/_\d+:/, '_')}.dsc`;

/**
 * A line for each package: name, version, where its source is on a mirror of its archive, and the licences that its copyright file
 * names. Files without the machine-readable form are named instead.
 */
export async function licenceList(
  files: ReadonlyMap<string, Packed>,
  packages: readonly LockedPackage[],
): Promise<string> {
  const lines = ['# package\tversion\tarchive\tsource\tlicences'];
  for (const locked of packages) {
    const entry = files.get(copyrightOf(files, locked.name));
    const text = entry?.type === 'file' ? (await entry.read()).toString('utf8') : '';
    const named = [
      ...new Set([...text.matchAll(/^License:[ \t]*([A-Za-z0-9][^\n]*)$/gm)].map(([, name]) => (name ?? '').trim())),
    ];
    const licences = named.length > 0 ? named.join('; ') : `see ${locked.name}/copyright`;
    lines.push([locked.name, locked.version, locked.archive, sourceFileOf(locked), licences].join('\t'));
  }
  return `${lines.join('\n')}\n`;
}
