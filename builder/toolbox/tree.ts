import { readFileSync } from 'node:fs';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { groupFiles } from '../debian/group-files.ts';
import { layoutOf } from '../debian/layout.ts';
import { licencesOf, packageList } from '../debian/licences.ts';
import { type Lock, packagesOf } from '../debian/lock.ts';
import type { TarEntry } from '../oci/tar.ts';
import { type Applet, listApplets } from './applets.ts';
import { type Patch, patched } from './patch.ts';

/**
 * What stands under /dev/crashcart: bin and sbin with the commands, profile with links to both (the original's path to
 * its shell), lib with their data, and the shell's start file.
 */
export async function toolboxTree(lock: Lock, environment: NodeJS.ProcessEnv): Promise<TarEntry[]> {
  const files = await groupFiles(lock, 'toolbox', environment);
  const packages = packagesOf(lock, 'toolbox');
  const bash = program(files, 'usr/bin/bash-static', [bashStartFile, ...ofStaticLibc(lock)]);
  const busybox = program(files, 'usr/bin/busybox', ofStaticLibc(lock));
  const own = (name: string) => readFileSync(new URL(name, import.meta.url));
  return [
    // Without an entry of its own mkfs gives the root of the image the mode 0777.
    { path: '.', type: 'directory' },
    { path: 'bin/bash', type: 'file', mode: 0o755, content: bash },
    { path: 'bin/busybox', type: 'file', mode: 0o755, content: busybox },
    ...(await listApplets(busybox)).map(appletLink),
    { path: 'profile/bin', type: 'symlink', target: '../bin' },
    { path: 'profile/sbin', type: 'symlink', target: '../sbin' },
    { path: '.crashcartrc', type: 'file', content: own('./crashcartrc') },
    { path: 'lib/inputrc', type: 'file', content: own('./inputrc') },
    { path: 'nss', type: 'file', content: 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n' },
    { path: 'C.utf8', type: 'symlink', target: 'lib/C.utf8' },
    ...moved(files, 'usr/lib/locale/C.utf8/', 'lib/C.utf8/'),
    ...moved(files, 'usr/share/terminfo/', 'lib/terminfo/'),
    ...licencesOf(files, packages, 'share/doc'),
    { path: 'share/doc/packages.json', type: 'file', content: packageList(packages) },
  ];
}

/** Debian's bash reads this before --rcfile, and the one in the container is not ours to trust. */
const bashStartFile: Patch = { from: '/etc/bash.bashrc', to: '/dev/crashcart/b', count: 1 };

/**
 * A static libc still loads name services, character sets and locales from where it stands, which would be code and data
 * of the container, made for another libc: those paths lead into the toolbox instead. What is not there is not loaded.
 */
function ofStaticLibc(lock: Lock): Patch[] {
  const { libraries } = layoutOf(lock.architecture);
  const gconv = `/${libraries}/gconv`;
  const ours = `/dev/crashcart${'/lib/gconv'.padStart(gconv.length - '/dev/crashcart'.length, '/')}`;
  return [
    { from: '/etc/nsswitch.conf', to: '/dev/crashcart/nss', count: 1 },
    { from: '/usr/lib/locale', to: '/dev/crashcart/', count: 1 },
    { from: '/usr/lib/locale/locale-archive', to: '/dev/crashcart//locale-archive', count: 1 },
    { from: gconv, to: ours, count: 1 },
    { from: `${gconv}/gconv-modules.cache`, to: `${ours}/gconv-modules.cache`, count: 1 },
  ];
}

function program(files: ReadonlyMap<string, TarEntry>, path: string, patches: readonly Patch[]): Buffer {
  const entry = files.get(path);
  if (entry?.type !== 'file' || !('content' in entry))
    throw new CrashcartError(reasons.Invalid, `The locked packages have no ${path}; correct builder/packages.json.`);
  try {
    return patched(Buffer.from(entry.content), patches);
  } catch (cause) {
    throw new CrashcartError(
      reasons.Invalid,
      `${path} of this version has other strings than the builder knows; look at them and correct builder/toolbox/tree.ts.`,
      { cause },
    );
  }
}

function appletLink({ name, directory }: Applet): TarEntry {
  return { path: `${directory}/${name}`, type: 'symlink', target: directory === 'bin' ? 'busybox' : '../bin/busybox' };
}

function moved(files: ReadonlyMap<string, TarEntry>, from: string, to: string): TarEntry[] {
  return [...files.values()]
    .filter(({ path, type }) => path.startsWith(from) && type !== 'directory')
    .map((entry) => ({ ...entry, path: to + entry.path.slice(from.length) }));
}
