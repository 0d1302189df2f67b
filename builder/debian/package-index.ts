import { CrashcartError, reasons } from '../../src/base/errors.ts';
import type { Archive } from './lock.ts';
import { compareVersions, type Relation, satisfies } from './version.ts';

const priorities = ['required', 'important', 'standard', 'optional', 'extra'];

/** One name in a dependency field, with the versions that it accepts. */
export interface Demand {
  name: string;
  relation?: Relation;
  version?: string;
}

/** A package as the index describes it. Each dependency is a list of alternatives. */
export interface Candidate {
  name: string;
  version: string;
  source: string;
  archive: Archive;
  path: string;
  size: number;
  sha256: string;
  priority: number;
  depends: readonly (readonly Demand[])[];
  conflicts: readonly Demand[];
  provides: readonly Demand[];
}

/** The packages of one architecture, of each name the newest. */
export interface PackageIndex {
  get(name: string): Candidate | undefined;
  /** Real and virtual packages that meet the demand, the one of that very name first. */
  meeting(demand: Demand): readonly Candidate[];
}

/** `archive` says which mirror the paths of a text are relative to. */
export interface IndexText {
  archive: Archive;
  text: string;
}

/**
 * Reads Packages files. Of packages in more than one (security updates) the newest version counts. Debian has 70 000 of them: each is
 * read whole only when somebody asks for it.
 */
export function readIndex(texts: readonly IndexText[]): PackageIndex {
  const newest = new Map<string, { version: string; read: () => Candidate }>();
  const providers = new Map<string, Set<string>>();
  for (const { archive, text } of texts) {
    for (const { start, end } of blocksOf(text)) {
      const block = text.slice(start, end);
      const [name, version] = [fieldOf(block, 'Package') ?? '', fieldOf(block, 'Version') ?? ''];
      const known = newest.get(name);
      if (known && compareVersions(version, known.version) <= 0) continue;
      const read = (): Candidate => candidateOf(text.slice(start, end), archive);
      newest.set(own(name), { version: own(version), read });
      for (const { name: provided } of demandsOf(fieldOf(block, 'Provides')).flat())
        providers.set(own(provided), (providers.get(provided) ?? new Set()).add(own(name)));
    }
  }
  const candidates = new Map<string, Candidate>();
  const get = (name: string): Candidate | undefined => {
    const found = candidates.get(name) ?? newest.get(name)?.read();
    if (found) candidates.set(name, found);
    return found;
  };
  return {
    get,
    meeting: (demand) => {
      const real = get(demand.name);
      // Of several that provide it apt takes the most important one.
      const virtual = [...(providers.get(demand.name) ?? [])]
        .filter((name) => name !== demand.name)
        .flatMap((name) => get(name) ?? [])
        .sort((a, b) => a.priority - b.priority);
      return [...(real ? [real] : []), ...virtual].filter((candidate) => meets(candidate, demand));
    },
  };
}

function* blocksOf(text: string): Generator<{ start: number; end: number }> {
  for (let start = 0; start < text.length; ) {
    const blank = text.indexOf('\n\n', start);
    const end = blank < 0 ? text.length : blank;
    if (text.slice(start, end).trim() !== '') yield { start, end };
    start = end + 2;
  }
}

/** A copy that does not keep the whole text that it was cut out of. */
const own = (text: string): string => Buffer.from(text, 'latin1').toString('latin1');

const patterns = new Map<string, RegExp>();

function fieldOf(block: string, field: string): string | undefined {
  const pattern = patterns.get(field) ?? new RegExp(`^${field}:[ \\t]*(.*(?:\\n[ \\t].*)*)`, 'm');
  patterns.set(field, pattern);
  return pattern
    .exec(block)?.[1]
    ?.replace(/\n[ \t]*/g, ' ')
    .trim();
}

/** Whether a package is, or provides, what is asked for. A virtual package has the version that its provider says, or none. */
export function meets(candidate: Candidate, { name, relation, version }: Demand): boolean {
  const accepted = (offered: string | undefined): boolean =>
    relation === undefined || version === undefined || (offered !== undefined && satisfies(offered, relation, version));
  if (candidate.name === name && accepted(candidate.version)) return true;
  return candidate.provides.some((provided) => provided.name === name && accepted(provided.version));
}

function candidateOf(block: string, archive: Archive): Candidate {
  const optional = (field: string): string | undefined => fieldOf(block, field);
  const name = optional('Package') ?? '';
  const field = (key: string): string => {
    const value = optional(key);
    if (value !== undefined) return value;
    throw new CrashcartError(
      reasons.Invalid,
      `The index says no ${key} of ${name || 'a package'}; try another mirror.`,
    );
  };
  const version = field('Version');
  return {
    name: field('Package'),
    version,
    source: sourceOf(optional('Source') ?? name, version),
    archive,
    path: field('Filename'),
    size: Number(field('Size')),
    sha256: field('SHA256'),
    priority: priorities.indexOf(optional('Priority') ?? 'optional'),
    depends: [...demandsOf(optional('Pre-Depends')), ...demandsOf(optional('Depends'))],
    conflicts: [...demandsOf(optional('Conflicts')), ...demandsOf(optional('Breaks'))].flat(),
    provides: demandsOf(optional('Provides')).flat(),
  };
}

/** `name version` of the source package, for licences. The version stands in brackets when it differs from the binary's. */
function sourceOf(source: string, version: string): string {
  const [, name, own] = /^(\S+)(?: \((\S+)\))?$/.exec(source) ?? [];
  return `${name ?? source} ${own ?? version}`;
}

const demand = /^([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?(?:\s*\((<<|<=|=|>=|>>)\s*([^)\s]+)\s*\))?$/;

/** Parses `a (>= 1) | b, c:any`: groups by comma, alternatives by bar. */
export function demandsOf(field: string | undefined): Demand[][] {
  if (!field) return [];
  return field.split(',').map((group) =>
    group.split('|').map((alternative) => {
      const [, name, relation, version] = demand.exec(alternative.trim()) ?? [];
      if (name === undefined)
        throw new CrashcartError(reasons.Invalid, `The index has a dependency that cannot be read: "${alternative}".`);
      return relation === undefined || version === undefined
        ? { name }
        : { name, relation: relation as Relation, version };
    }),
  );
}
