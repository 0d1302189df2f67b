import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CrashcartError, reasons } from '../src/base/errors.ts';

/** A path inside the checkout. */
export const inProject = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** The version of this project, or of an installed npm package. */
export function versionOf(npmPackage?: string): string {
  const path = inProject(npmPackage ? `node_modules/${npmPackage}/package.json` : 'package.json');
  const read: { version?: unknown } = JSON.parse(readFileSync(path, 'utf8'));
  if (typeof read.version === 'string') return read.version;
  throw new CrashcartError(reasons.Invalid, `${path} has no version; run \`npm ci\`.`);
}

/** The npm package that carries the pinned Node for this machine's architecture. */
export const nodePackage = (): string => `node-linux-${process.arch}`;
