import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { clusterCache } from '../cluster/build.ts';

/** `RUNC`, else the one that the test cluster was built with, else the one on PATH (Debian's lacks user namespaces). */
export function runcBinary(): string {
  const given = process.env['RUNC'];
  if (given) return given;
  const cache = clusterCache();
  const built = existsSync(cache) ? readdirSync(cache).filter((name) => /^runc-[0-9a-f]{16}$/.test(name)) : [];
  const path = (process.env['PATH'] ?? '').split(delimiter);
  const found = [
    ...built.map((name) => join(cache, name, 'runc')),
    ...path.map((directory) => join(directory, 'runc')),
  ].find((file) => existsSync(file));
  if (found) return found;
  throw new Error('No runc: build the test cluster (make cluster), set RUNC, or apt-get install runc.');
}
