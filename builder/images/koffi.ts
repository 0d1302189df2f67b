import { readdirSync, readFileSync } from 'node:fs';
import type { TarEntry } from '../oci/tar.ts';
import { inProject } from '../paths.ts';

/** Documentation, headers and C++ sources stay behind: a tenth of the package is enough to run it. */
const wanted = /(^|\/)(package\.json|LICENSE\.txt|[^/]+\.(js|cjs))$/;
const unwanted = /^(doc|vendor|lib|cnoke)\b/;

/** The files that `import 'koffi'` needs on this architecture with glibc, under a node_modules directory. */
export function koffiFiles(under: string): TarEntry[] {
  const native = `@koromix/koffi-linux-${process.arch}`;
  return [
    ...filesOf('koffi', under, (path) => wanted.test(path) && !unwanted.test(path)),
    ...filesOf(native, under, (path) => wanted.test(path) || path === `linux_${process.arch}/koffi.node`),
  ];
}

function filesOf(name: string, under: string, isWanted: (path: string) => boolean): TarEntry[] {
  const directory = inProject(`node_modules/${name}`);
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(directory.length + 1))
    .filter(isWanted)
    .map((path) => ({
      path: `${under}/${name}/${path}`,
      type: 'file',
      content: readFileSync(`${directory}/${path}`),
    }));
}
