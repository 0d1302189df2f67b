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

/** Reads Packages files. Of packages in more than one (security updates) the newest version counts. */
export function readIndex(texts: readonly IndexText[]): PackageIndex {
  const newest = new Map<string, Candidate>();
  for (const { archive, text } of texts) {
    for (const block of text.split('\n\n')) {
      if (block.trim() === '') continue;
      const candidate = candidateOf(block, archive);
      const known = newest.get(candidate.name);
      if (!known || compareVersions(candidate.version, known.version) > 0) newest.set(candidate.name, candidate);
    }
  }
  const providers = new Map<string, Candidate[]>();
  for (const candidate of newest.values())
    for (const { name } of candidate.provides) providers.set(name, [...(providers.get(name) ?? []), candidate]);
  return {
    get: (name) => newest.get(name),
    meeting: (demand) => {
      const real = newest.get(demand.name);
      // Of several that provide it apt takes the most important one.
      const virtual = (providers.get(demand.name) ?? [])
        .filter((each) => each !== real)
        .sort((a, b) => a.priority - b.priority);
      return [...(real ? [real] : []), ...virtual].filter((candidate) => meets(candidate, demand));
    },
  };
}

/** Whether a package is, or provides, what is asked for. A virtual package has the version that its provider says, or none. */
export function meets(candidate: Candidate, { name, relation, version }: Demand): boolean {
  const accepted = (offered: string | undefined): boolean =>
    relation === undefined || version === undefined || (offered !== undefined && satisfies(offered, relation, version));
  if (candidate.name === name && accepted(candidate.version)) return true;
  return candidate.provides.some((provided) => provided.name === name && accepted(provided.version));
}

function candidateOf(block: string, archive: Archive): Candidate {
  const optional = (field: string): string | undefined =>
    new RegExp(`^${field}:[ \\t]*(.*(?:\\n[ \\t].*)*)`, 'm')
      .exec(block)?.[1]
      ?.replace(/\n[ \t]*/g, ' ')
      .trim();
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
