import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { type Architecture, lockUrl, parseLock } from '../debian/lock.ts';
import { compareVersions } from '../debian/version.ts';
import { inProject } from '../paths.ts';
import { run } from '../process.ts';

type Versions = ReadonlyMap<string, string>;

/** Lines that say which packages were added (+), removed (-), or went up or down from one lock to another. */
export async function diff(
  old: string,
  current: string | undefined,
  { arch }: { arch: Architecture },
): Promise<string> {
  const [before, after] = await Promise.all([versionsOf(old, arch), versionsOf(current, arch)]);
  return (
    changes(before, after)
      .map((line) => `${line}\n`)
      .join('') || 'The same packages in the same versions.\n'
  );
}

export function changes(before: Versions, after: Versions): string[] {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  return names.flatMap((name) => {
    const [was, is] = [before.get(name), after.get(name)];
    if (was === is) return [];
    if (was === undefined) return [`+ ${name} ${is}`];
    if (is === undefined) return [`- ${name} ${was}`];
    return [`${compareVersions(was, is) < 0 ? '^' : 'v'} ${name} ${was} -> ${is}`];
  });
}

/** Of a file, of the lock in a git revision, or of this checkout's lock. */
async function versionsOf(what: string | undefined, architecture: Architecture): Promise<Versions> {
  const lock = `builder/lock.${architecture}.json`;
  if (what === undefined) return read(await readFile(lockUrl(architecture), 'utf8'), lock);
  if (existsSync(what)) return read(await readFile(what, 'utf8'), what);
  try {
    return read((await run('git', ['show', `${what}:${lock}`], { cwd: inProject('') })).toString(), `${what}:${lock}`);
  } catch (cause) {
    if (cause instanceof CrashcartError && cause.reason === reasons.Invalid) throw cause;
    throw new CrashcartError(reasons.NotFound, `"${what}" is neither a file nor a git revision that has ${lock}.`, {
      cause,
    });
  }
}

function read(text: string, what: string): Versions {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && 'bomFormat' in value) return ofBill(value);
    return new Map(parseLock(text).packages.map(({ name, version }) => [name, version]));
  } catch (cause) {
    throw new CrashcartError(reasons.Invalid, `${what} is neither a lock nor the bill of materials of a toolbox.`, {
      cause,
    });
  }
}

function ofBill(document: object): Versions {
  const components: unknown = 'components' in document ? document.components : undefined;
  if (!Array.isArray(components)) throw new Error('it has no components');
  return new Map(
    components.flatMap((each: { name?: unknown; version?: unknown }): [string, string][] =>
      typeof each.name === 'string' && typeof each.version === 'string' ? [[each.name, each.version]] : [],
    ),
  );
}
