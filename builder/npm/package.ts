import { createWriteStream } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { licencesFile, programs } from '../bundle/bundles.ts';
import { koffiFiles } from '../images/koffi.ts';
import { type TarEntry, tarStream } from '../oci/tar.ts';
import { inProject, versionOf } from '../paths.ts';

export const npmPackage = 'build/npm/crashcart.tgz';

/**
 * The node's command for machines that have Node: one script, crashcart-enter, and koffi inside the package, so that nothing is fetched or compiled at
 * its installation. To the byte the same for the same sources.
 */
export async function buildNpmPackage(epoch: number): Promise<void> {
  const out = inProject(npmPackage);
  await mkdir(dirname(out), { recursive: true });
  const entries = [...ownFiles(), ...koffiFiles('node_modules').map(withoutInstallation)];
  const inPackage = entries.map((entry) => ({ ...entry, path: `package/${entry.path}` }));
  await pipeline(Readable.from(tarStream(inPackage, epoch)), createGzip({ level: 9 }), createWriteStream(`${out}.new`));
  await rename(`${out}.new`, out);
}

function ownFiles(): TarEntry[] {
  const file = (path: string, source: string, mode = 0o644): TarEntry => ({
    path,
    type: 'file',
    mode,
    source: inProject(source),
  });
  return [
    { path: 'package.json', type: 'file', content: `${JSON.stringify(manifest(), null, 2)}\n` },
    file('crashcart.cjs', programs.nodeCliPackage.out, 0o755),
    file(`linux-${process.arch}/crashcart-enter`, 'build/native/crashcart-enter', 0o755),
    file('README.md', 'docs/crashcart.md'),
    file('man/crashcart.8', 'docs/man/crashcart.8'),
    file('LICENSE', 'LICENSE'),
    file('licences.txt', licencesFile),
  ];
}

function manifest(): object {
  const carried = { koffi: versionOf('koffi'), [`@koromix/koffi-linux-${process.arch}`]: versionOf('koffi') };
  return {
    name: 'crashcart',
    version: versionOf(),
    description: 'Put a toolbox of debugging programs into a running container',
    license: 'Apache-2.0',
    bin: { crashcart: 'crashcart.cjs' },
    man: ['man/crashcart.8'],
    engines: { node: '>=24' },
    os: ['linux'],
    cpu: [process.arch],
    dependencies: carried,
    bundleDependencies: Object.keys(carried),
  };
}

/** koffi's own manifest asks for a script at installation and for the packages of every other platform. */
function withoutInstallation(entry: TarEntry): TarEntry {
  if (!entry.path.endsWith('/koffi/package.json') || entry.type !== 'file' || !('content' in entry)) return entry;
  const { scripts: _scripts, optionalDependencies: _others, ...rest } = JSON.parse(String(entry.content));
  return { ...entry, content: `${JSON.stringify(rest, null, 2)}\n` };
}
