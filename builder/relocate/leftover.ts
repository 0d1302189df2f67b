import { CrashcartError, reasons } from '../../src/base/errors.ts';
import type { Architecture } from '../debian/lock.ts';
import { patchesOf } from './rules.ts';

/** A program of the toolbox, and the paths below /usr that it has as strings. */
export interface Mentioning {
  place: string;
  package: string;
  mentions: readonly string[];
}

/** Paths that a program may go on to name, and why that is right. */
const fine: readonly (readonly [place: RegExp, mention: RegExp])[] = [
  // Found from where the program itself stands.
  [/^(bin\/(nmap|nping|ncat)|libexec\/(gdb|python3))$/, /./],
  [/^bin\/(psql|pg_\w+|\w+db|createuser|dropuser|pgbench|oid2name|vacuumlo)$/, /^\/usr\/(share|lib)\/postgresql/],
  // Debuggers and tracers speak of the container's files.
  [/^bin\/(perf|ltrace|lsof|whereis|ld|ld\.bfd)$|^lib\/lib(bfd|dw|bpf|elf|debuginfod)/, /./],
  // Message catalogues: dealt with in every program.
  [/./, /^\/usr\/share\/locale$/],
  // The directory of libraries itself: ours comes from the loader.
  [/./, /^\/usr\/lib\/[\w-]+-linux-gnu\/?$/],
  // Left out on purpose: the tool works without.
  [/./, /^\/usr\/lib\/(getconf|bfd-plugins|systemd|udev|man-db|groff|font|sasl2|openssh\/ssh-\w+(-\w+)?|ssl)\b/],
  [
    /./,
    /^\/usr\/lib\/(environment\.d|sysusers\.d|tmpfiles\.d|sysctl\.d|modules-load\.d|binfmt\.d|kernel|repart\.d|os-release)/,
  ],
  [
    /./,
    /^\/usr\/share\/(i18n|misc|dict|dbus-1|mime|applications|doc|factory|xml|info|man|awk|luajit-2\.1|lua|bashdb|icons|perf-core)\b/,
  ],
];

/**
 * Refuses programs that would look for files of their packages where the container has its own. A string that names what a package of
 * the toolbox ships, and that no rule moves, means a package that the builder does not know yet. Throws Invalid with programs and strings.
 */
export function refuseLeftovers(
  programs: readonly Mentioning[],
  ships: (path: string) => boolean,
  triplet: string,
  architecture: Architecture,
): void {
  const problems: string[] = [];
  for (const { place, package: from, mentions } of programs) {
    const moved = patchesOf(place, triplet, architecture);
    const left = mentions.filter(
      (mention) =>
        ships(mention.slice(1).replace(/\/+$/, '')) &&
        !fine.some(([who, what]) => who.test(place) && what.test(mention)) &&
        !moved.some(({ from: string, boundary }) =>
          boundary === 'start' || boundary === 'anywhere' ? mention.startsWith(string) : mention === string,
        ),
    );
    if (left.length > 0) problems.push(`${place} (of ${from}) looks for ${left.join(', ')}`);
  }
  if (problems.length > 0)
    throw new CrashcartError(
      reasons.Invalid,
      `Not relocated: ${problems.join('; ')}. In a container that would be the container's; add a rule to builder/relocate/rules.ts and what it leads to in builder/toolbox/recipe.ts, or say in builder/relocate/leftover.ts why it is right.`,
    );
}
