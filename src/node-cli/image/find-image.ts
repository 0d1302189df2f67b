import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { programDirectory } from '../carried.ts';

/** A toolbox image on this node. */
export interface Image {
  /** For people. */
  readonly name: string;
  readonly file: string;
  /** Names this very state of the file: another file, or a changed one, has another key. */
  readonly key: string;
}

const suffixes = ['.erofs', '.img'];

/** Where NAME.erofs is looked for, in this order. The last three are by the program: where an archive was unpacked, and a build tree. */
export const imageDirectories = (program: string = programDirectory()): readonly string[] => [
  '/usr/local/share/crashcart',
  '/usr/share/crashcart',
  '/var/lib/crashcart',
  program,
  join(program, '../share/crashcart'),
  join(program, '../toolbox'),
];

/**
 * `wanted`: a file (with a slash or a known suffix in it), or a name. The original's default, `crashcart.img` beside the program, is found too.
 * @throws CrashcartError ToolboxNotFound
 */
export function findImage(wanted: string, directories: readonly string[]): Image {
  if (wanted.includes('/') || (suffixes.some((suffix) => wanted.endsWith(suffix)) && existsSync(wanted)))
    return imageOf(wanted, resolve(wanted));
  const names =
    wanted === 'default'
      ? [...suffixes.map((suffix) => `default${suffix}`), 'crashcart.img']
      : [wanted, ...suffixes.map((suffix) => wanted + suffix)];
  const file = directories.flatMap((directory) => names.map((name) => join(directory, name))).find(isFile);
  if (file !== undefined) return imageOf(wanted, file);
  const known = directories.flatMap(namesIn);
  throw new CrashcartError(
    reasons.ToolboxNotFound,
    `There is no toolbox image "${wanted}" in ${directories.join(', ')}${known.length > 0 ? ` (there is ${[...new Set(known)].join(', ')})` : ''}: name a file with --image.`,
  );
}

function imageOf(name: string, file: string): Image {
  if (!isFile(file))
    throw new CrashcartError(reasons.ToolboxNotFound, `${file} is not a file: name a toolbox image with --image.`);
  const path = realpathSync(file);
  const { dev, ino, size, mtimeMs } = statSync(path);
  return {
    name,
    file: path,
    key: [dev, ino, size, Math.trunc(mtimeMs)].map((number) => number.toString(36)).join('-'),
  };
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function namesIn(directory: string): readonly string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory).flatMap((name) =>
    suffixes.filter((suffix) => name.endsWith(suffix)).map((suffix) => name.slice(0, -suffix.length)),
  );
}
