import { createHash } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { hostTools } from '../debian/host-tools.ts';
import { hostArchitecture, type Lock, packagesOf, readLock } from '../debian/lock.ts';
import { type Image, writeImage } from '../oci/archive.ts';
import { zstdLayers } from '../oci/zstd.ts';
import { inProject, nodePackage, versionOf } from '../paths.ts';
import { nonroot, programEntries, runtimeEntries, toolboxEntries } from './crashcart-tree.ts';

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
      cmd: ['/app/controller.mjs', '--help'],
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

/** Writes the image that carries the default toolbox to the nodes. */
export async function buildToolboxImage(lock: Lock, environment: NodeJS.ProcessEnv): Promise<void> {
  const tools = await hostTools(readLock(hostArchitecture()), environment);
  const toolbox = await write(lock, 'crashcart-toolbox', imageTars.toolbox, {
    layers: [{ entries: toolboxEntries(), compress: zstdLayers(tools, environment) }],
    config: {
      entrypoint: ['/crashcart-install'],
      cmd: ['/toolboxes/default.erofs'],
      labels: labelsOf(lock, 'toolbox', 'default'),
    },
  });
  await writeJson(toolboxImageFile, toolbox);
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
    // The tag follows the content: a node that has an older build never mistakes it for this one.
    ref: (digest) => `localhost/${name}:${versionOf()}-${digest.replace('sha256:', '').slice(0, 12)}`,
    out: inProject(tar),
    epoch: lock.epoch,
    architecture: lock.architecture,
  });
  return { ref, tar };
}

const labelsOf = (lock: Lock, what: string, group: string): Record<string, string> => ({
  'org.opencontainers.image.title': `Crashcart for Kubernetes: ${what}`,
  'org.opencontainers.image.version': versionOf(),
  'org.opencontainers.image.licenses': 'Apache-2.0',
  'dev.crashcart.lock': `sha256:${createHash('sha256').update(JSON.stringify(lock)).digest('hex')}`,
  'dev.crashcart.packages': packagesOf(lock, group)
    .map(({ name, version }) => `${name}=${version}`)
    .join(' '),
});
