import { copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { HostTool } from '../debian/host-tools.ts';
import type { Layout } from '../debian/layout.ts';
import { inProject, nodePackage } from '../paths.ts';

export const strippedNode = 'build/node/node';

/**
 * The pinned Node without its symbol table, which nothing reads at run time: native modules find their functions in the
 * dynamic one, and that stays. Saves a sixth of its size.
 */
export async function stripNode(tool: HostTool, layout: Layout): Promise<void> {
  const out = inProject(strippedNode);
  await mkdir(dirname(out), { recursive: true });
  const scratch = await mkdtemp(`${out}.`);
  try {
    const copy = join(scratch, 'node');
    await copyFile(inProject(`node_modules/${nodePackage()}/bin/node`), copy);
    await tool(`usr/bin/${layout.triplet}-strip`, ['--strip-all', copy]);
    await rename(copy, out);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
