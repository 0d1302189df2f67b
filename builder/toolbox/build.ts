import { hostTools } from '../debian/host-tools.ts';
import { hostArchitecture, type Lock, readLock } from '../debian/lock.ts';
import { type FormatName, suffixOf, writeFileSystem } from '../formats/formats.ts';
import { inProject } from '../paths.ts';
import type { Tell } from '../step.ts';
import { toolboxTree } from './tree.ts';

export interface ToolboxBuild {
  lock: Lock;
  toolbox: string;
  format: FormatName | 'plain';
  environment: NodeJS.ProcessEnv;
  /** Full path; build/toolbox/NAME.FORMAT unless given. */
  out?: string;
  tell?: Tell | undefined;
}

/** Where a toolbox of this machine's architecture is, inside the checkout. */
export const toolboxFile = (toolbox: string, format: FormatName): string =>
  `build/toolbox/${toolbox}.${suffixOf(format)}`;

/** Builds one toolbox as one file. The lock may be of another architecture: nothing of it is run, the tools are this machine's. */
export async function buildToolbox({ lock, toolbox, format, environment, out, tell }: ToolboxBuild): Promise<void> {
  const tree = await toolboxTree(lock, toolbox, environment, tell);
  const tool = await hostTools(readLock(hostArchitecture()), environment);
  const path = out ?? inProject(toolboxFile(toolbox, format === 'plain' ? 'erofs' : format));
  await writeFileSystem(format, tree.entries, path, lock.epoch, tool);
}
