import { readFile, rename, writeFile } from 'node:fs/promises';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { packagesFile, parsePackages, toolboxesOf } from '../debian/packages-file.ts';
import { inProject } from '../paths.ts';
import type { Tell } from '../step.ts';
import { makeLocks } from './lock.ts';

export interface AddOptions {
  toolbox: string;
  task: string;
}

/**
 * Adds a package to a section of builder/packages and makes the locks anew. What is locked already keeps its version, so that one package
 * more changes one package and what it needs. Without a lock, nothing of the list is changed either.
 */
export async function addPackage(
  name: string,
  options: AddOptions,
  environment: NodeJS.ProcessEnv,
  tell: Tell,
): Promise<void> {
  const path = inProject(packagesFile);
  const before = await readFile(path, 'utf8');
  const after = withPackage(before, name, options);
  await makeLocks(environment, tell, { sections: parsePackages(after), keep: true });
  await writeFile(`${path}.new`, after);
  await rename(`${path}.new`, path);
  tell(
    `${name} is in the toolbox "${options.toolbox}" now; build it with \`builder/crashcart-build build --toolbox ${options.toolbox}\`.`,
  );
}

/** The text of the list with one package more, under its heading, which is added when it is not there. */
export function withPackage(text: string, name: string, { toolbox, task }: AddOptions): string {
  const sections = parsePackages(text);
  const section = sections.find((each) => each.name === toolbox);
  if (!section || !toolboxesOf(sections).includes(toolbox))
    throw new CrashcartError(
      reasons.NotFound,
      `There is no toolbox "${toolbox}"; ${packagesFile} has ${toolboxesOf(sections).join(', ')}.`,
    );
  if (section.packages.some((listed) => listed.name === name))
    throw new CrashcartError(reasons.Invalid, `${name} is in ${toolbox} already.`);
  const lines = text.split('\n');
  const start = lines.findIndex((line) => new RegExp(`^\\[${toolbox}(:.*)?\\]\\s*(#.*)?$`).test(line));
  const rest = lines.slice(start + 1).findIndex((line) => line.startsWith('['));
  const end = rest < 0 ? lines.length : start + 1 + rest;
  const heading = lines.slice(start, end).findIndex((line) => line.replace(/#.*/, '').trim() === `${task}:`);
  if (heading >= 0) lines.splice(start + heading + 1, 0, `  ${name}`);
  else {
    const last = lines.slice(start, end).findLastIndex((line) => line.trim() !== '' && !line.startsWith('#'));
    lines.splice(start + last + 1, 0, `${task}:`, `  ${name}`);
  }
  return lines.join('\n');
}
