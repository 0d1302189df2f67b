import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { fetchOptionsOf } from '../debian/cache.ts';
import { layoutOf } from '../debian/layout.ts';
import { licenceList, licencesOf, packageList } from '../debian/licences.ts';
import { type Lock, type LockedPackage, packagesOf } from '../debian/lock.ts';
import { type Listed, packagesIn, readPackages, toolboxesOf } from '../debian/packages-file.ts';
import { type Packed, unpackedPackages } from '../debian/unpacked.ts';
import { machines } from '../elf/elf.ts';
import type { TarEntry } from '../oci/tar.ts';
import { refuseLeftovers } from '../relocate/leftover.ts';
import { relocated } from '../relocate/relocate.ts';
import { billOfMaterials } from '../sbom/cyclonedx.ts';
import type { Tell } from '../step.ts';
import { appletsOf } from './applets.ts';
import { type Command, catalogueOf, catalogueText } from './catalogue.ts';
import { assertClosed, type Node } from './closure.ts';
import { certificates, generatedFiles, motd, wrapper } from './generated.ts';
import { leftApplets, shortcuts, wrapped } from './recipe.ts';
import { type Packages, type Selection, select, type Taken } from './selection.ts';

export interface Tree {
  entries: readonly TarEntry[];
  commands: readonly Command[];
  packages: readonly LockedPackage[];
  /** Which package every file came from; files of ours are not in it. */
  origins: ReadonlyMap<string, string>;
}

/**
 * What stands under /dev/crashcart: bin and sbin with the commands, profile with links to both (the original's path to its shell), lib
 * and share with what they need, and the shell's start file. Files are read and relocated when the entries are written.
 * Throws NotFound for a toolbox that builder/packages does not have.
 */
export async function toolboxTree(
  lock: Lock,
  toolbox: string,
  environment: NodeJS.ProcessEnv,
  tell?: Tell,
): Promise<Tree> {
  const listed = listedIn(toolbox, lock);
  const locked = packagesOf(lock, toolbox);
  const packages = await unpackedPackages(locked, fetchOptionsOf(lock, environment, tell));
  const { triplet, loader } = layoutOf(lock.architecture);
  const selection = once(wrap(select(packages, new Set(listed.map(({ name }) => name)), triplet)));

  refuseUnmoved(selection, packages, lock);

  const entries = new Map<string, TarEntry>();
  const add = (...all: TarEntry[]): void => {
    for (const entry of all) entries.set(entry.path, entry);
  };
  // Without an entry of its own mkfs gives the root of the image the mode 0777.
  add({ path: '.', type: 'directory' });
  add(
    { path: 'profile/bin', type: 'symlink', target: '../bin' },
    { path: 'profile/sbin', type: 'symlink', target: '../sbin' },
  );
  for (const [path, { file }] of selection.files) add(await relocated(file, path, lock.architecture));
  for (const [path, target] of selection.links) add({ path, type: 'symlink', target });
  add(...generatedFiles(), ...(await certificates(packages)));
  for (const [command, before] of Object.entries(wrapped))
    if (selection.files.has(`libexec/${command}`)) add(wrapper(command, before));
  const paths = (): string[] => [...entries.keys()];
  for (const [name, target] of Object.entries(shortcuts))
    if (paths().some((path) => path.startsWith(`${target}/`))) add({ path: name, type: 'symlink', target });
  if (entries.has(`lib/${loader}`)) add({ path: 'ld.so', type: 'symlink', target: `lib/${loader}` });
  add(...(await applets(selection, new Set(paths()))));
  add(motd(0));

  const commands = catalogueOf(commandsIn(entries, selection), packages, listed);
  add(motd(commands.length), text('lib/tools', catalogueText(commands, lock.date)));
  if (entries.has('bin/man')) add(...manuals(packages, new Set(commands.map(({ name }) => name))));
  const all = merged(packages);
  add(...licencesOf(all, locked, 'share/doc'), text('share/doc/packages.json', packageList(locked)));
  add(
    text('share/doc/licences.tsv', await licenceList(all, locked)),
    text('share/doc/sbom.cdx.json', billOfMaterials(lock, toolbox)),
  );

  assertClosed(nodesOf(entries, selection), machines[lock.architecture]);
  return {
    entries: [...entries.values()],
    commands,
    packages: locked,
    origins: new Map([...selection.files].map(([path, { package: name }]) => [path, name])),
  };
}

function refuseUnmoved({ files }: Selection, packages: Packages, lock: Lock): void {
  const shipped = new Set<string>();
  for (const entries of packages.values())
    for (const path of entries.keys())
      for (let at = path.length; at > 0; at = path.lastIndexOf('/', at - 1)) shipped.add(path.slice(0, at));
  const programs = [...files].map(([place, { file, package: from }]) => ({
    place,
    package: from,
    mentions: file.mentions ?? [],
  }));
  refuseLeftovers(programs, (path) => shipped.has(path), layoutOf(lock.architecture).triplet, lock.architecture);
}

function listedIn(toolbox: string, lock: Lock): Listed[] {
  const sections = readPackages();
  const section = sections.find(({ name }) => name === toolbox);
  const known = toolboxesOf(sections);
  if (!section || !known.includes(toolbox))
    throw new CrashcartError(
      reasons.NotFound,
      `There is no toolbox "${toolbox}"; builder/packages has ${known.join(', ')}.`,
    );
  const listed = packagesIn(section, lock.architecture);
  const there = new Set(packagesOf(lock, toolbox).map(({ name }) => name));
  const missing = listed.filter(({ name }) => !there.has(name)).map(({ name }) => name);
  if (missing.length === 0) return listed;
  throw new CrashcartError(
    reasons.Invalid,
    `builder/packages names ${missing.join(', ')} for ${toolbox}, and the lock of ${lock.architecture} does not have it; run \`builder/crashcart-build lock\`.`,
  );
}

/** Of several copies of one file the first stays a file, and the others in its directory become links to it. */
function once({ files, links }: Selection): Selection {
  const seen = new Map<string, string>();
  const kept = new Map<string, Taken>();
  const more = new Map(links);
  for (const path of [...files.keys()].sort()) {
    const taken = files.get(path);
    if (!taken) continue;
    const slash = path.lastIndexOf('/');
    const key = `${path.slice(0, slash)} ${taken.file.sha256}`;
    const first = seen.get(key);
    if (first === undefined || taken.file.size === 0) {
      seen.set(key, path.slice(slash + 1));
      kept.set(path, taken);
    } else more.set(path, first);
  }
  return { files: kept, links: more };
}

/** Moves the programs that are started by a script of ours out of bin. */
function wrap({ files, links }: Selection): Selection {
  const moved = new Map<string, Taken>();
  const kept = new Map(links);
  for (const [path, taken] of files) {
    const command = path.startsWith('bin/') ? path.slice(4) : '';
    if (Object.hasOwn(wrapped, command)) moved.set(`libexec/${command}`, taken);
    else moved.set(path, taken);
  }
  return { files: moved, links: kept };
}

/** A link for each command that nothing else has. */
async function applets({ files }: Selection, taken: ReadonlySet<string>): Promise<TarEntry[]> {
  const busybox = files.get('bin/busybox');
  if (!busybox) return [];
  return appletsOf(await busybox.file.read())
    .filter((name) => !leftApplets.has(name) && !taken.has(`bin/${name}`) && !taken.has(`sbin/${name}`))
    .map((name) => ({ path: `bin/${name}`, type: 'symlink', target: 'busybox' }));
}

function commandsIn(
  entries: ReadonlyMap<string, TarEntry>,
  selection: Selection,
): { name: string; package: string; target?: string }[] {
  const found = new Map<string, { name: string; package: string; target?: string }>();
  for (const { path, ...entry } of entries.values()) {
    const name = /^s?bin\/([^/]+)$/.exec(path)?.[1];
    if (name === undefined) continue;
    const real = entry.type === 'symlink' ? linkEnd(path, entries) : path;
    const from = selection.files.get(real) ?? selection.files.get(`libexec/${real.slice(4)}`);
    const target = real === path ? undefined : real.slice(real.lastIndexOf('/') + 1);
    found.set(name, { name, package: from?.package ?? 'crashcart', ...(target && { target }) });
  }
  return [...found.values()];
}

function linkEnd(path: string, entries: ReadonlyMap<string, TarEntry>): string {
  let at = path;
  for (
    let entry = entries.get(at), steps = 0;
    entry?.type === 'symlink' && steps < 16;
    entry = entries.get(at), steps++
  )
    at = entry.target.startsWith('../')
      ? entry.target.slice(3)
      : `${at.slice(0, at.lastIndexOf('/') + 1)}${entry.target}`;
  return at;
}

/** The manual pages of the commands that are there. */
function manuals(packages: Packages, commands: ReadonlySet<string>): TarEntry[] {
  const found: TarEntry[] = [];
  for (const entries of packages.values()) {
    for (const entry of entries.values()) {
      const [, section, name] = /^usr\/share\/man\/man([18])\/(.+)\.[18][a-z]*$/.exec(entry.path) ?? [];
      if (section === undefined || name === undefined || !commands.has(name)) continue;
      const path = `share/man/man${section}/${name}.${section}`;
      if (entry.type === 'file') found.push({ path, type: 'file', size: entry.size, read: entry.read });
    }
  }
  return found;
}

const merged = (packages: Packages): ReadonlyMap<string, Packed> => {
  const all = new Map<string, Packed>();
  for (const entries of packages.values()) for (const [path, entry] of entries) all.set(path, entry);
  return all;
};

function nodesOf(entries: ReadonlyMap<string, TarEntry>, selection: Selection): Node[] {
  return [...entries.values()]
    .filter(({ type }) => type !== 'directory')
    .map((entry): Node => {
      if (entry.type === 'symlink') return { path: entry.path, target: entry.target };
      const elf = selection.files.get(entry.path)?.file.elf;
      const script = 'content' in entry && (entry.mode ?? 0) & 0o111 ? scriptOf(entry.content) : undefined;
      return { path: entry.path, ...(elf && { elf }), ...(script !== undefined && { interpreter: script }) };
    });
}

function scriptOf(content: string | Uint8Array): string | undefined {
  const line = Buffer.from(content).subarray(0, 256).toString('latin1').split('\n')[0] ?? '';
  return line.startsWith('#!') ? line.slice(2).trim() : undefined;
}

const text = (path: string, content: string): TarEntry => ({ path, type: 'file', content });
