import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { type Paragraph, paragraphs } from './control.ts';
import type { LockedPackage } from './lock.ts';

export type Groups = Readonly<Record<string, readonly string[]>>;

/**
 * The packages that the groups name, as the index has them now, sorted by name. Dependencies are not followed: every
 * package of ours is named, and the build fails at once when a library is missing. Throws NotFound with all names that
 * the index does not know.
 */
export function resolve(index: string, groups: Groups): LockedPackage[] {
  const wanted = new Set(Object.values(groups).flat());
  const found = new Map<string, Paragraph>();
  for (const fields of paragraphs(index)) {
    const name = fields.get('Package') ?? '';
    if (wanted.has(name)) found.set(name, fields);
  }
  const unknown = [...wanted].filter((name) => !found.has(name));
  if (unknown.length > 0)
    throw new CrashcartError(
      reasons.NotFound,
      `The suite has no ${unknown.join(', ')}; correct the names in builder/packages.json.`,
    );
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, fields]) => ({
      ...locked(name, fields),
      groups: Object.keys(groups).filter((group) => groups[group]?.includes(name)),
    }));
}

function locked(name: string, fields: Paragraph): Omit<LockedPackage, 'groups'> {
  const field = (key: string) => {
    const value = fields.get(key);
    if (value !== undefined) return value;
    throw new CrashcartError(reasons.Invalid, `The index says no ${key} of ${name}; try another mirror.`);
  };
  const version = field('Version');
  return {
    name,
    version,
    source: sourceOf(fields.get('Source') ?? name, version),
    path: field('Filename'),
    size: Number(field('Size')),
    sha256: field('SHA256'),
  };
}

/** `name version` of the source package, for licences. The version stands in brackets when it differs from the binary's. */
function sourceOf(source: string, version: string): string {
  const [, name, own] = /^(\S+)(?: \((\S+)\))?$/.exec(source) ?? [];
  return `${name ?? source} ${own ?? version}`;
}
