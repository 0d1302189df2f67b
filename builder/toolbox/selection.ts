import { CrashcartError, reasons } from '../../src/base/errors.ts';
import type { Packed, PackedFile } from '../debian/unpacked.ts';
import { alternatives, commandDirectories, data, leftOut, opened, renamed } from './recipe.ts';

export type Packages = ReadonlyMap<string, ReadonlyMap<string, Packed>>;

/** A file that the toolbox takes, and of which package. */
export interface Taken {
  file: PackedFile;
  package: string;
}

export interface Selection {
  /** By path in the toolbox. */
  files: ReadonlyMap<string, Taken>;
  /** Path in the toolbox to target. */
  links: ReadonlyMap<string, string>;
}

/**
 * What a toolbox takes out of its packages: the commands of those that are listed, data by the recipe, and the libraries that these need
 * or open. Throws Invalid when a library is in none of the packages.
 */
export function select(packages: Packages, listed: ReadonlySet<string>, triplet: string): Selection {
  const files = new Map<string, Taken>();
  const links = new Map<string, string>();
  const union = new Map<string, { entry: Packed; package: string }>();
  for (const [name, entries] of packages)
    for (const [path, entry] of entries) union.set(path, { entry, package: name });

  takeCommands(packages, listed, union, files, links);
  takeData(union, triplet, files, links);
  takeLibraries(union, triplet, files, links);
  return { files, links };
}

type Union = ReadonlyMap<string, { entry: Packed; package: string }>;
type Files = Map<string, Taken>;
type Links = Map<string, string>;

const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

function takeCommands(packages: Packages, listed: ReadonlySet<string>, union: Union, files: Files, links: Links): void {
  const targets: [path: string, entry: Packed & { type: 'symlink' }][] = [];
  for (const name of [...listed].sort()) {
    for (const [path, entry] of packages.get(name) ?? []) {
      const directory = path.slice(0, path.lastIndexOf('/') + 1);
      const command = baseName(path);
      if (!commandDirectories.some((known) => known.test(directory))) continue;
      if (leftOut.some((pattern) => pattern.test(command))) continue;
      const place = `${directory.includes('sbin/') ? 'sbin' : 'bin'}/${renamed.find(([pattern]) => pattern.test(command))?.[1] ?? command}`;
      if (entry.type === 'file') {
        if (entry.mode & 0o111) files.set(place, { file: entry, package: name });
      } else targets.push([place, entry]);
    }
  }
  for (const [place, entry] of targets) linkCommand(place, entry, union, files, links);
  // A smaller toolbox has scripts of a package without the language that they are in.
  for (const [place, { file }] of [...files]) {
    const language = /\b(perl|python3)\b/.exec(file.interpreter ?? '')?.[1];
    if (language && !files.has(`bin/${language}`) && !links.has(`bin/${language}`)) files.delete(place);
  }
  const directoryOf = (command: string): 'bin' | 'sbin' | undefined =>
    (['bin', 'sbin'] as const).find((each) => files.has(`${each}/${command}`) || links.has(`${each}/${command}`));
  for (const [name, ...commands] of alternatives) {
    if (directoryOf(name)) continue;
    const command = commands.find(directoryOf);
    const directory = command && directoryOf(command);
    if (directory) links.set(`${directory}/${name}`, command);
  }
}

/** A link to another command stays one; what it leads to elsewhere stands in its place. */
function linkCommand(
  place: string,
  entry: Packed & { type: 'symlink' },
  union: Union,
  files: Files,
  links: Links,
): void {
  const found = follow(union, entry.path);
  if (!found) return;
  const command = baseName(found.entry.path);
  const at = (['bin', 'sbin'] as const).map((directory) => `${directory}/${command}`).find((each) => files.has(each));
  if (at === place) return;
  if (!at) files.set(place, { file: found.entry, package: found.package });
  else links.set(place, at.startsWith(place.slice(0, place.indexOf('/') + 1)) ? command : `../${at}`);
}

/** The file that a path leads to, through links of any package. */
function follow(union: Union, path: string): { entry: PackedFile; package: string } | undefined {
  let at = path;
  for (let steps = 0; steps < 16; steps++) {
    const found = union.get(at) ?? union.get(`usr/${at}`);
    if (!found) return undefined;
    if (found.entry.type === 'file') return { entry: found.entry, package: found.package };
    at = resolvePath(found.entry.path, found.entry.target);
  }
  return undefined;
}

/** Where a link's target is, as a path without a leading slash. */
export function resolvePath(link: string, target: string): string {
  const parts = target.startsWith('/') ? [] : link.split('/').slice(0, -1);
  for (const part of target.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function takeData(union: Union, triplet: string, files: Files, links: Links): void {
  const has = (command: string): boolean =>
    ['bin', 'sbin'].some((directory) => files.has(`${directory}/${command}`) || links.has(`${directory}/${command}`));
  const wanted = data
    .filter(({ command }) => command === undefined || has(command))
    .map((each) => ({ ...each, from: each.from.replaceAll('@', triplet) }));
  for (const [path, { entry, package: name }] of union) {
    for (const { from, to, except } of wanted) {
      const isIn = from.endsWith('/') ? path.startsWith(from) : path === from;
      if (!isIn || except?.test(path)) continue;
      const place = to + path.slice(from.length);
      if (entry.type === 'file') files.set(place, { file: entry, package: name });
      else takeLink(place, path, entry.target, { from, to }, union, files, links);
      break;
    }
  }
}

function takeLink(
  place: string,
  path: string,
  target: string,
  way: { from: string; to: string },
  union: Union,
  files: Files,
  links: Links,
): void {
  const leads = resolvePath(path, target);
  // Inside of what is moved as a whole a relative link goes on to be right.
  if (!target.startsWith('/') && way.from.endsWith('/') && leads.startsWith(way.from)) {
    if (follow(union, path) || [...union.keys()].some((each) => each.startsWith(`${leads}/`))) links.set(place, target);
    return;
  }
  const found = follow(union, path);
  if (found) files.set(place, { file: found.entry, package: found.package });
}

function takeLibraries(union: Union, triplet: string, files: Files, links: Links): void {
  const libraries = new Map<string, { entry: PackedFile; package: string }>();
  const directories = [`usr/lib/${triplet}/`, `lib/${triplet}/`, 'usr/lib/', 'lib/'];
  // Directories below (blas, man-db) count where the usual ones have no such file.
  const rank = (path: string): number => {
    const at = directories.indexOf(path.slice(0, path.lastIndexOf('/') + 1));
    return at < 0 ? directories.length : at;
  };
  const paths = [...union.keys()].filter((path) => /^(usr\/)?lib\//.test(path) && /\.so(\.[^/]*)?$/.test(path));
  for (const path of paths.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))) {
    if (libraries.has(baseName(path))) continue;
    const found = follow(union, path);
    if (found?.entry.elf) libraries.set(baseName(path), found);
  }
  const missing = new Set<string>();
  // Character sets share libraries that stand beside them, where the recipe put them.
  const placed = new Map([...files].map(([place, { file }]) => [file, place]));
  const take = (name: string, by: string): void => {
    if (files.has(`lib/${name}`) || links.has(`lib/${name}`)) return;
    const found = libraries.get(name);
    if (!found) return void missing.add(`${name} (for ${by})`);
    const there = placed.get(found.entry);
    if (there?.startsWith('lib/')) return void links.set(`lib/${name}`, there.slice('lib/'.length));
    files.set(`lib/${name}`, { file: found.entry, package: found.package });
    for (const needed of found.entry.elf?.needed ?? []) take(needed, name);
  };
  for (const [place, { file }] of [...files]) for (const needed of file.elf?.needed ?? []) take(needed, place);
  for (const [library, command] of opened) {
    const isThere = command === undefined || [`bin/${command}`, `sbin/${command}`].some((path) => files.has(path));
    if (isThere && libraries.has(library)) take(library, command ?? 'libc.so.6');
  }
  if (missing.size > 0)
    throw new CrashcartError(
      reasons.Invalid,
      `No package of the toolbox has ${[...missing].sort().join(', ')}; add the package that has it to builder/packages, or leave out what needs it.`,
    );
}
