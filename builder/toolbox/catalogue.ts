import type { Listed } from '../debian/packages-file.ts';
import type { Packed } from '../debian/unpacked.ts';
import type { Packages } from './selection.ts';

/** A command of the toolbox for people. */
export interface Command {
  name: string;
  task: string;
  text: string;
  package: string;
}

/** What one may run, with its task (of the package in builder/packages) and the few words that its manual page has for it. */
export function catalogueOf(
  commands: readonly { name: string; package: string; target?: string }[],
  packages: Packages,
  listed: readonly Listed[],
): Command[] {
  const pages = new Map<string, string>();
  for (const entries of packages.values()) for (const entry of entries.values()) addPage(pages, entry);
  const tasks = new Map(listed.map(({ name, task }) => [name, task]));
  const order = [...new Set(listed.map(({ task }) => task))];
  return commands
    .map(({ name, package: from, target }) => ({
      name,
      task: tasks.get(from) || 'more',
      text: wordsFor(name, target, pages) ?? (target === 'busybox' ? 'applet of busybox' : `of ${from}`),
      package: from,
    }))
    .sort((a, b) => order.indexOf(a.task) - order.indexOf(b.task) || (a.name < b.name ? -1 : 1));
}

function addPage(pages: Map<string, string>, entry: Packed): void {
  const name = /^usr\/share\/man\/man[18]\/(.+)\.[18][a-z]*$/.exec(entry.path)?.[1];
  if (name !== undefined && entry.type === 'file' && entry.whatis !== undefined && !pages.has(name))
    pages.set(name, entry.whatis);
}

function wordsFor(name: string, target: string | undefined, pages: ReadonlyMap<string, string>): string | undefined {
  for (const each of target && target !== 'busybox' ? [name, target] : [name])
    for (const variant of [
      each,
      each.replace('.', '_'),
      each.replace(/\.[a-z]+$/, ''),
      each.replace(/-(nft|legacy)/, ''),
      each.replace(/^eu-/, 'eu-'),
    ]) {
      const found = pages.get(variant);
      if (found !== undefined) return found;
    }
  return undefined;
}

/** The text that `tools` reads: a head line, then task, name and words, separated by tabs. */
export const catalogueText = (commands: readonly Command[], date: string): string =>
  [
    `#\t${commands.length}\tcommands\t${date}`,
    ...commands.map(({ task, name, text }) => `${task}\t${name}\t${text}`),
    '',
  ].join('\n');
