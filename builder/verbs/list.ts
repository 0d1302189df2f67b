import { type Architecture, packagesOf, readLock } from '../debian/lock.ts';
import { packagesIn, readPackages, toolboxesOf } from '../debian/packages-file.ts';
import type { Tell } from '../step.ts';
import { toolboxTree } from '../toolbox/tree.ts';

export interface ListOptions {
  toolbox?: string;
  arch: Architecture;
  packages?: boolean;
}

/** Toolboxes with their sizes; or the packages of one, or its commands with a few words for each. */
export async function list(
  { toolbox, arch, packages }: ListOptions,
  environment: NodeJS.ProcessEnv,
  tell: Tell,
): Promise<string> {
  const lock = readLock(arch);
  if (toolbox === undefined) {
    const sections = readPackages();
    const rows = toolboxesOf(sections).map((name) => {
      const section = sections.find((each) => each.name === name);
      const closure = packagesOf(lock, name);
      const megabytes = closure.reduce((sum, { size }) => sum + size, 0) / 1e6;
      const listed = section ? packagesIn(section, arch).length : 0;
      return `${name.padEnd(12)} ${String(listed).padStart(4)} packages listed, ${closure.length} with dependencies, ${megabytes.toFixed(1)} MB to fetch`;
    });
    return `${rows.join('\n')}\n`;
  }
  if (packages)
    return packagesOf(lock, toolbox)
      .map(({ name, version }) => `${name} ${version}\n`)
      .join('');
  const { commands } = await toolboxTree(lock, toolbox, environment, tell);
  return commands
    .map(({ name, task, text, package: from }) => `${task.padEnd(10)} ${name.padEnd(24)} ${from.padEnd(22)} ${text}\n`)
    .join('');
}
