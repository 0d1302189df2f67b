import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Whether a program could be started by its name alone. */
export function isOnPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return directory.startsWith('/');
    } catch {
      return false;
    }
  });
}
