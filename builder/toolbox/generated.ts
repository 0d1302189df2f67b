import { readFileSync } from 'node:fs';
import type { TarEntry } from '../oci/tar.ts';
import { prefix } from '../relocate/patch.ts';
import type { Packages } from './selection.ts';

const file = (path: string, content: string | Uint8Array, mode = 0o644): TarEntry => ({
  path,
  type: 'file',
  content,
  mode,
});
const own = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8');

/** What Debian's maintainer scripts would make, and what is ours: start files, name services, users, certificates. */
export function generatedFiles(): TarEntry[] {
  return [
    file('.crashcartrc', own('./crashcartrc')),
    file('lib/inputrc', own('./inputrc')),
    file('virc', own('./virc')),
    file(
      'manp',
      `MANDATORY_MANPATH ${prefix}/share/man\nMANPATH_MAP ${prefix}/bin ${prefix}/share/man\nMANPATH_MAP ${prefix}/sbin ${prefix}/share/man\n`,
    ),
    file('bin/tools', own('./tools'), 0o755),
    file('bin/ldd', own('./ldd'), 0o755),
    // The container's users first: what it has not, a tool may still want.
    file(
      'nss',
      'passwd: files extrausers\ngroup: files extrausers\nshadow: files\nhosts: files dns\nnetworks: files\nservices: files\nprotocols: files\n',
    ),
    // tcpdump becomes this user. Below 500 the library takes nobody.
    file('x/passwd', 'tcpdump:x:65534:65534:nobody of the toolbox:/nonexistent:/bin/false\n'),
    file('x/group', 'tcpdump:x:65534:\n'),
  ];
}

/** What a session's shell says first. It counts itself, too. */
export const motd = (commands: number): TarEntry =>
  file('bin/crashcart-motd', own('./crashcart-motd').replace('@COUNT@', String(commands)), 0o755);

/** The certificates that Mozilla trusts, in one file, sorted by name. */
export async function certificates(packages: Packages): Promise<TarEntry[]> {
  const found = [...(packages.get('ca-certificates') ?? [])]
    .filter(([path]) => /^usr\/share\/ca-certificates\/mozilla\/.*\.crt$/.test(path))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const texts: string[] = [];
  for (const [, entry] of found)
    if (entry.type === 'file') texts.push((await entry.read()).toString('latin1').trimEnd());
  return texts.length === 0 ? [] : [file('ca.pem', `${texts.join('\n')}\n`)];
}

/** Starts a program of libexec without what the container may have said to it. */
export const wrapper = (command: string, before: string): TarEntry =>
  file(`bin/${command}`, `#!${prefix}/bin/sh\n${before}\nexec ${prefix}/libexec/${command} "$@"\n`, 0o755);
