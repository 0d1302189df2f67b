import { readFileSync } from 'node:fs';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { inProject } from '../paths.ts';
import { type Architecture, architectures } from './lock.ts';

/** One line of `builder/packages`: a package, what it is there for, and where it is wanted if not everywhere. */
export interface Listed {
  name: string;
  task: string;
  architecture?: Architecture;
}

/** A section with its own packages and those of the section that it contains. */
export interface Section {
  name: string;
  includes?: string;
  packages: readonly Listed[];
}

export const packagesFile = 'builder/packages';
/** Sections that are no toolboxes. */
export const serviceSections: readonly string[] = ['runtime', 'host', 'proof', 'emulation'];

export const readPackages = (): readonly Section[] => {
  const path = inProject(packagesFile);
  try {
    return parsePackages(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new CrashcartError(reasons.Invalid, `${packagesFile} cannot be used; correct it.`, { cause });
  }
};

/** Names of the toolboxes in the order of the file. */
export const toolboxesOf = (sections: readonly Section[]): string[] =>
  sections.map(({ name }) => name).filter((name) => !serviceSections.includes(name));

/** The packages that a section asks for on an architecture, with those of the sections that it contains. */
export const packagesIn = (section: Section, architecture: Architecture): Listed[] =>
  section.packages.filter((listed) => listed.architecture === undefined || listed.architecture === architecture);

/** Parses the text of the file. Throws an Error that names the line. */
export function parsePackages(text: string): Section[] {
  const sections: { name: string; includes?: string; packages: Listed[] }[] = [];
  let task = '';
  for (const [at, raw] of text.split('\n').entries()) {
    const line = raw.replace(/#.*/, '').trim();
    if (line === '') continue;
    const where = `line ${at + 1} ("${line}")`;
    const [, name, includes] = /^\[([a-z][a-z0-9-]*)(?::\s*([a-z][a-z0-9-]*))?\]$/.exec(line) ?? [];
    if (name !== undefined) {
      if (sections.some((section) => section.name === name)) throw new Error(`${where}: this section is there already`);
      const base = sections.find((section) => section.name === includes);
      if (includes !== undefined && !base) throw new Error(`${where}: no section ${includes} stands above it`);
      sections.push({ name, ...(includes !== undefined && { includes }), packages: [...(base?.packages ?? [])] });
      task = '';
      continue;
    }
    const section = sections.at(-1);
    if (!section) throw new Error(`${where}: no section stands above it`);
    const heading = /^([a-z][a-z0-9-]*):$/.exec(line)?.[1];
    if (heading !== undefined) task = heading;
    else section.packages.push(parseListed(line, task, where));
  }
  return sections;
}

function parseListed(line: string, task: string, where: string): Listed {
  const [, name, wanted] = /^([a-z0-9][a-z0-9+.-]+)(?:\s+\[([a-z0-9]+)\])?$/.exec(line) ?? [];
  if (name === undefined) throw new Error(`${where}: this is not the name of a Debian package`);
  const architecture = architectures.find((known) => known === wanted);
  if (wanted !== undefined && !architecture)
    throw new Error(`${where}: the architecture is not one of ${architectures.join(', ')}`);
  return { name, task, ...(architecture && { architecture }) };
}
