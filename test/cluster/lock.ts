import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { identify, isAlive, type ProcessIdentity } from './process.ts';

/**
 * Held while a cluster is brought up, so that two commands do not bring up the same one. A lock whose holder is gone
 * counts as free. Throws Unavailable that names the holder.
 */
export function lock(directory: string): Disposable {
  const file = `${directory}.lock`;
  mkdirSync(dirname(file), { recursive: true });
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(file, JSON.stringify(identify(process.pid)), { flag: 'wx' });
      return { [Symbol.dispose]: () => rmSync(file, { force: true }) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = readHolder(file);
    if (holder && isAlive(holder)) {
      const message = `Process ${holder.pid} is bringing up this cluster already: wait for it, or take another --name.`;
      throw new CrashcartError(reasons.Unavailable, message);
    }
    rmSync(file, { force: true });
  }
  throw new CrashcartError(reasons.Unavailable, `Cannot take ${file}: another command took it first; try again.`);
}

function readHolder(file: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ProcessIdentity;
  } catch {
    return undefined; // released meanwhile, or its writer died before it wrote
  }
}
