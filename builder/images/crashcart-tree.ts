import { readFileSync } from 'node:fs';
import { licencesFile, programs } from '../bundle/bundles.ts';
import { strippedNode } from '../bundle/node.ts';
import { groupFiles } from '../debian/group-files.ts';
import { layoutOf } from '../debian/layout.ts';
import { licencesOf, packageList } from '../debian/licences.ts';
import { type Lock, packagesOf } from '../debian/lock.ts';
import { entryOf } from '../debian/unpacked.ts';
import type { TarEntry } from '../oci/tar.ts';
import { inProject, nodePackage } from '../paths.ts';
import { koffiFiles } from './koffi.ts';

/** The user of the controller; the chart names it too. The agent's pod runs as root by its own securityContext. */
export const nonroot = 65532;

/** What libc6, libgcc-s1 and libstdc++6 have that Node and koffi load; not the converters, audit and profiling modules. */
const wantedLibraries = /^(ld-linux[^/]*|lib(c|m|dl|pthread|rt|resolv|nss_dns|nss_files|gcc_s|stdc\+\+)\.so[^/]*)$/;

/** The lower layer: Node and the libraries it needs. Changes when the lock or the pinned Node does. */
export async function runtimeEntries(lock: Lock, environment: NodeJS.ProcessEnv): Promise<TarEntry[]> {
  const files = await groupFiles(lock, 'runtime', environment);
  const packages = packagesOf(lock, 'runtime');
  const { libraries, interpreter, loader } = layoutOf(lock.architecture);
  const libraryFiles = [...files.values()]
    .filter(({ path }) => path.startsWith(`${libraries}/`) && wantedLibraries.test(path.slice(libraries.length + 1)))
    .map((packed) => entryOf(packed));
  return [
    ...libraryFiles,
    { path: interpreter, type: 'symlink', target: `/${libraries}/${loader}` },
    { path: 'usr/bin/node', type: 'file', mode: 0o755, source: inProject(strippedNode) },
    text('etc/passwd', `root:x:0:0:root:/:/none\nnonroot:x:${nonroot}:${nonroot}:nonroot:/home/nonroot:/none\n`),
    text('etc/group', `root:x:0:\nnonroot:x:${nonroot}:\n`),
    text('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n'),
    { path: 'home/nonroot', type: 'directory', mode: 0o700, uid: nonroot, gid: nonroot },
    { path: 'tmp', type: 'directory', mode: 0o1777 },
    ...licencesOf(files, packages, 'usr/share/doc'),
    file('usr/share/doc/node/LICENSE', `node_modules/${nodePackage()}/LICENSE`),
    text('usr/share/doc/packages.json', packageList(packages)),
  ];
}

/** The upper layer: our programs. */
export function programEntries(): TarEntry[] {
  return [
    file('app/controller.cjs', programs.controller.out),
    file('app/agent.cjs', programs.agent.out),
    file('app/breaker.cjs', programs.breaker.out),
    // For `helm test`, which opens a real session.
    file('app/kubectl-crashcart.cjs', programs.plugin.out),
    ...koffiFiles('app/node_modules'),
    { ...file('usr/lib/crashcart/crashcart-enter', 'build/native/crashcart-enter'), mode: 0o755 },
    file('usr/share/doc/crashcart/LICENSE', 'LICENSE'),
    file('usr/share/doc/crashcart/licences.txt', licencesFile),
  ];
}

/** The default toolbox as it travels: not compressed itself, because the layer is. */
export const transportFile = 'build/transport/default.erofs';

const text = (path: string, content: string) => ({ path, type: 'file', content }) as const;

/** Read at once, so that a missing file is named before an image is begun. */
const file = (path: string, source: string) =>
  ({ path, type: 'file', content: readFileSync(inProject(source)) }) as const;
