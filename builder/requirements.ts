import { accessSync, constants } from 'node:fs';
import { CrashcartError, reasons } from '../src/base/errors.ts';

/** Programs that the builder calls, and the Debian package that has each. preflight.sh installs these. */
export const hostPrograms: Readonly<Record<string, string>> = { gcc: 'gcc', make: 'make', xz: 'xz-utils' };

/** A static program needs the C library's headers and archive. */
export const hostPackages: readonly string[] = [...new Set([...Object.values(hostPrograms), 'libc6-dev'])].sort();

/** Throws Unavailable with everything that is missing in one message, and the command that gets it. */
export function checkHost(path: string): void {
  const missing = Object.keys(hostPrograms).filter((program) => !isOnPath(program, path));
  if (missing.length === 0) return;
  throw new CrashcartError(
    reasons.Unavailable,
    `The builder needs ${missing.join(', ')}, and this machine has no such program; on Debian: apt-get install ${hostPackages.join(' ')}`,
  );
}

const isOnPath = (program: string, path: string): boolean =>
  path.split(':').some((directory) => {
    try {
      accessSync(`${directory}/${program}`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
