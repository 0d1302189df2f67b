import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { type Candidate, type Demand, meets, type PackageIndex } from './package-index.ts';

/** A package that something needs, and the packages chosen for its dependencies. */
export interface Resolved extends Candidate {
  chosen: readonly string[];
}

/**
 * The named packages with everything that they depend on, sorted by name: the first alternative that there is, unless a
 * later one is there already; recommendations do not count. apt gives the same answer for an empty machine.
 * Throws NotFound with every name that the index does not know, Invalid for packages that exclude each other.
 */
export function resolve(index: PackageIndex, names: readonly string[], listed: string): Resolved[] {
  const unknown = names.filter((name) => !index.get(name));
  if (unknown.length > 0)
    throw new CrashcartError(
      reasons.NotFound,
      `Debian has no package ${unknown.join(', ')}; correct the name in ${listed} (\`apt-cache search WORD\` finds names).`,
    );
  const found = new Map<string, Candidate>();
  const chosen = new Map<string, string[]>();
  const queue: Candidate[] = [];
  const add = (candidate: Candidate): void => {
    if (found.has(candidate.name)) return;
    found.set(candidate.name, candidate);
    queue.push(candidate);
  };
  for (const name of names) {
    const candidate = index.get(name);
    if (candidate) add(candidate);
  }
  for (let next = queue.shift(); next; next = queue.shift()) {
    const own: string[] = [];
    for (const alternatives of next.depends) {
      const candidate = choose(index, alternatives, found);
      if (!candidate) throw unmet(next, alternatives);
      own.push(candidate.name);
      add(candidate);
    }
    chosen.set(next.name, [...new Set(own)]);
  }
  const all = [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  refuseConflicts(all);
  return all.map((candidate) => ({ ...candidate, chosen: chosen.get(candidate.name) ?? [] }));
}

function choose(
  index: PackageIndex,
  alternatives: readonly Demand[],
  found: ReadonlyMap<string, Candidate>,
): Candidate | undefined {
  for (const demand of alternatives) {
    const there = index.meeting(demand).find(({ name }) => found.has(name));
    if (there) return there;
  }
  return alternatives.flatMap((demand) => index.meeting(demand))[0];
}

function unmet({ name }: Candidate, alternatives: readonly Demand[]): CrashcartError {
  const wanted = alternatives.map(
    ({ name: each, relation, version }) => `${each}${relation ? ` (${relation} ${version})` : ''}`,
  );
  return new CrashcartError(
    reasons.NotFound,
    `${name} depends on ${wanted.join(' or ')}, which the suite does not have; leave ${name} out, or try again when the mirror is in order.`,
  );
}

function refuseConflicts(all: readonly Candidate[]): void {
  for (const one of all) {
    for (const conflict of one.conflicts) {
      const other = all.find((each) => each !== one && meets(each, conflict));
      if (other)
        throw new CrashcartError(
          reasons.Invalid,
          `${one.name} and ${other.name} exclude each other; take one of them out of this toolbox, or give it a toolbox of its own.`,
        );
    }
  }
}
