import { readFile, rename, writeFile } from 'node:fs/promises';
import type { Lock } from '../debian/lock.ts';
import { type Image, writeImage } from '../oci/archive.ts';
import { inProject, nodePackage, versionOf } from '../paths.ts';
import { nonroot, programEntries, runtimeEntries, transportFile } from './crashcart-tree.ts';
import { labelsOf, tagged } from './labels.ts';
import { writeToolboxImage } from './toolbox-image.ts';

/** Where the images are and what they are called; the cluster, the chart's tests and people read it. */
export const imagesFile = 'build/images/images.json';
export const imageTars = { crashcart: 'build/images/crashcart.tar', toolbox: 'build/images/toolbox.tar' } as const;

/** What the toolbox's image is called; the file that names both is made of it. */
export const toolboxImageFile = 'build/images/toolbox.json';

/** Writes the image of controller and agent, then the file that names both images: who reads it finds what it names. */
export async function buildCrashcartImage(lock: Lock, environment: NodeJS.ProcessEnv): Promise<void> {
  const crashcart = await write(lock, 'crashcart', imageTars.crashcart, {
    layers: [{ entries: await runtimeEntries(lock, environment) }, { entries: programEntries() }],
    config: {
      // The chart names the program; alone the image says what there is.
      entrypoint: ['/usr/bin/node'],
      cmd: ['/app/controller.cjs', '--help'],
      user: String(nonroot),
      env: { NODE_ENV: 'production', PATH: '/usr/bin' },
      labels: {
        ...labelsOf(lock, 'controller and node agent', 'runtime'),
        'dev.crashcart.node': versionOf(nodePackage()),
      },
    },
  });
  const toolbox: unknown = JSON.parse(await readFile(inProject(toolboxImageFile), 'utf8'));
  await writeJson(imagesFile, { crashcart, toolbox });
}

/** Writes the image that carries the default toolbox to the nodes of a cluster on this machine. */
export async function buildToolboxImage(lock: Lock, environment: NodeJS.ProcessEnv): Promise<void> {
  const out = inProject(imageTars.toolbox);
  const ref = await writeToolboxImage({
    lock,
    toolbox: 'default',
    erofs: inProject(transportFile),
    out,
    level: 'local',
    environment,
  });
  await writeJson(toolboxImageFile, { ref, tar: imageTars.toolbox });
}

async function writeJson(name: string, value: unknown): Promise<void> {
  const path = inProject(name);
  await writeFile(`${path}.new`, `${JSON.stringify(value, null, 2)}\n`);
  await rename(`${path}.new`, path);
}

async function write(
  lock: Lock,
  name: string,
  tar: string,
  image: Pick<Image, 'layers' | 'config'>,
): Promise<{ ref: string; tar: string }> {
  const { ref } = await writeImage({
    ...image,
    ref: tagged(name),
    out: inProject(tar),
    epoch: lock.epoch,
    architecture: lock.architecture,
  });
  return { ref, tar };
}
