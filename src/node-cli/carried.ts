/** What the single executable carries beside its script, and where the same things are without one. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { getRawAsset, isSea } from 'node:sea';
import { CrashcartError, reasons } from '../base/errors.ts';

export const enterAsset = 'crashcart-enter';

/** Of the executable, or of the script. */
export const programDirectory = (): string => (isSea() ? dirname(process.execPath) : import.meta.dirname);

/**
 * crashcart-enter, as bytes or as its file: inside the executable; beside the bundle of the npm package, for each architecture; or where
 * the build leaves it. It is copied to sealed memory before it runs, and written to no disk.
 */
export function enterProgram(): string | Uint8Array {
  if (isSea()) return new Uint8Array(getRawAsset(enterAsset) as ArrayBuffer);
  const directory = programDirectory();
  const places = [
    join(directory, `linux-${process.arch}`, 'crashcart-enter'),
    join(directory, '../../build/native/crashcart-enter'),
    join(directory, '../native/crashcart-enter'),
  ];
  const file = places.find((place) => existsSync(place));
  if (file !== undefined) return file;
  throw new CrashcartError(
    reasons.Internal,
    `crashcart-enter is in none of ${places.join(', ')}: install crashcart again.`,
  );
}
