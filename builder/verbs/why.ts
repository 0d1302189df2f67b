import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { type Architecture, type LockedPackage, readLock } from '../debian/lock.ts';
import { packagesIn, readPackages } from '../debian/packages-file.ts';
import { prefix } from '../relocate/patch.ts';
import type { Tell } from '../step.ts';
import { type Tree, toolboxTree } from '../toolbox/tree.ts';

/** Which package a path or command of a toolbox is of, and the way from the list to that package. */
export async function why(
  what: string,
  { toolbox, arch }: { toolbox: string; arch: Architecture },
  environment: NodeJS.ProcessEnv,
  tell: Tell,
): Promise<string> {
  const lock = readLock(arch);
  const tree = await toolboxTree(lock, toolbox, environment, tell);
  const packages = new Map(tree.packages.map((locked) => [locked.name, locked]));
  const section = readPackages().find(({ name }) => name === toolbox);
  const listed = new Set(section ? packagesIn(section, arch).map(({ name }) => name) : []);
  const path = what.startsWith(`${prefix}/`) ? what.slice(prefix.length + 1) : what;
  const places = [path, `bin/${path}`, `sbin/${path}`].filter((place) =>
    tree.entries.some((entry) => entry.path === place),
  );
  const lines: string[] = [];
  for (const place of places.slice(0, 1)) {
    const from = originOf(place, tree);
    lines.push(`${prefix}/${place} is of ${from}`);
    if (packages.has(from) && !packages.has(what)) lines.push(...wayTo(from, packages, listed));
  }
  if (packages.has(what)) lines.push(...wayTo(what, packages, listed));
  if (lines.length > 0) return `${lines.join('\n')}\n`;
  throw new CrashcartError(
    reasons.NotFound,
    `The toolbox "${toolbox}" has no package, command or path "${what}"; \`builder/crashcart-build list --toolbox ${toolbox}\` says what it has.`,
  );
}

function originOf(place: string, tree: Tree): string {
  const own = tree.origins.get(place);
  if (own) return own;
  const name = place.slice(place.lastIndexOf('/') + 1);
  const command = /^s?bin\//.test(place) ? tree.commands.find((each) => each.name === name) : undefined;
  return command?.package ?? 'crashcart (made by the builder)';
}

/** `name version`, then who asks for whom, up to a package of the list: the shortest way. */
function wayTo(name: string, packages: ReadonlyMap<string, LockedPackage>, listed: ReadonlySet<string>): string[] {
  const locked = packages.get(name);
  const head = `${name} ${locked?.version ?? ''}`;
  const before = new Map<string, string | undefined>([[name, undefined]]);
  for (const queue = [name]; queue.length > 0; ) {
    const at = queue.shift() ?? '';
    if (listed.has(at)) {
      const way: string[] = [];
      for (let next: string | undefined = at; next !== undefined; next = before.get(next)) way.push(next);
      return [head, `  builder/packages lists ${way.join(', which depends on ')}`];
    }
    for (const each of packages.values()) {
      if (!each.depends.includes(at) || before.has(each.name)) continue;
      before.set(each.name, at);
      queue.push(each.name);
    }
  }
  return [head, '  nothing of the list depends on it any more; make the lock anew'];
}
