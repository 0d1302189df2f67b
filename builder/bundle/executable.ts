import { chmod, copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { inProject } from '../paths.ts';
import { run } from '../process.ts';
import { strippedNode } from './node.ts';

/** Node looks for its blob under this name, when this mark in its own file says that there is one. */
const resource = 'NODE_SEA_BLOB';
const sentinelFuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/**
 * Makes a program that needs nothing on the PATH: the stripped Node with the script inside, compiled ahead (the code
 * cache saves the most of what remains of its start). Replaced atomically.
 */
export async function buildExecutable(
  script: string,
  out: string,
  assets: Readonly<Record<string, string>> = {},
): Promise<void> {
  const target = inProject(out);
  await mkdir(dirname(target), { recursive: true });
  const scratch = await mkdtemp(`${target}.`);
  try {
    const node = join(scratch, 'node');
    const blob = join(scratch, 'blob');
    // The path goes into the blob as it is written here: without the directory it is the same on every machine.
    // Files are carried under a name of their own, given here by their paths below the project.
    const carried = Object.entries(assets).map(([name, path]) => [name, inProject(path)]);
    const config = {
      main: basename(script),
      output: blob,
      disableExperimentalSEAWarning: true,
      useCodeCache: true,
      ...(carried.length > 0 ? { assets: Object.fromEntries(carried) } : {}),
    };
    await writeFile(join(scratch, 'sea.json'), JSON.stringify(config));
    await copyFile(inProject(strippedNode), node);
    // The code cache is only good for the very Node that made it. It has hashes in it, whose seed would be drawn by chance.
    await run(node, ['--random-seed=1', '--experimental-sea-config', join(scratch, 'sea.json')], {
      cwd: dirname(inProject(script)),
    });
    // In a process of its own: it talks on stderr about sections that a stripped file has no names for.
    const postject = inProject('node_modules/postject/dist/cli.js');
    await run(process.execPath, [postject, node, resource, blob, '--sentinel-fuse', sentinelFuse]);
    await chmod(node, 0o755);
    await rename(node, target);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
