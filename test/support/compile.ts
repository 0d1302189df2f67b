import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';

const directory = join(import.meta.dirname, '../../build/test');

/** A static program of the tests, compiled again only after its source has changed; the file. */
export function compileStatic(source: string): string {
  const binary = join(directory, basename(source, '.c'));
  if (existsSync(binary) && statSync(binary).mtimeMs >= statSync(source).mtimeMs) return binary;
  mkdirSync(directory, { recursive: true });
  const made = `${binary}.${process.pid}`;
  execFileSync('cc', ['-static', '-O2', '-o', made, source]);
  renameSync(made, binary);
  return binary;
}
