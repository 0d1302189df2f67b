import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { hostTools } from '../debian/host-tools.ts';
import { type Architecture, hostArchitecture, type Lock, lockText, packagesOf, readLock } from '../debian/lock.ts';
import { writeImage } from '../oci/archive.ts';
import { type Level, zstdLayers } from '../oci/zstd.ts';
import { inProject } from '../paths.ts';
import { billOfMaterials } from '../sbom/cyclonedx.ts';
import { inScratch } from '../scratch.ts';
import type { Tell } from '../step.ts';
import { buildToolbox } from '../toolbox/build.ts';
import { labelsOf, tagged } from './labels.ts';

export interface ToolboxImage {
  lock: Lock;
  toolbox: string;
  /** The toolbox as uncompressed erofs; built when it is not given. */
  erofs?: string;
  /** Full path of the tar to write. */
  out: string;
  level: Level;
  environment: NodeJS.ProcessEnv;
  tell?: Tell | undefined;
}

/**
 * Writes the image that carries a toolbox to nodes, and gives its reference: one layer of two files, the toolbox and the program that
 * copies it. The erofs is not compressed, because the layer is: so it is smallest on the way. Lock, bill of materials and the digest of
 * the toolbox are annotations.
 */
export async function writeToolboxImage(image: ToolboxImage): Promise<string> {
  const { lock, toolbox, out, environment, tell } = image;
  const installer = installerFor(lock.architecture);
  return inScratch(out, async (scratch) => {
    const erofs = image.erofs ?? join(scratch, 'toolbox.erofs');
    if (image.erofs === undefined)
      await buildToolbox({ lock, toolbox, format: 'plain', out: erofs, environment, tell });
    const tools = await hostTools(readLock(hostArchitecture()), environment);
    if (image.level === 'ship') tell?.('compressing the layer; this takes a minute or two ...');
    const { ref } = await writeImage({
      ref: tagged(toolbox === 'default' ? 'crashcart-toolbox' : `crashcart-toolbox-${toolbox}`),
      layers: [
        {
          entries: [
            { path: 'crashcart-install', type: 'file', mode: 0o755, source: installer },
            { path: 'toolbox.erofs', type: 'file', source: erofs },
          ],
          compress: zstdLayers(tools, environment, image.level),
        },
      ],
      config: {
        entrypoint: ['/crashcart-install'],
        cmd: [`/toolboxes/${toolbox}.erofs`],
        labels: labelsOf(lock, 'toolbox', toolbox),
      },
      annotations: {
        'dev.crashcart.toolbox.digest': `sha256:${await sha256Of(erofs)}`,
        'dev.crashcart.toolbox.lock': lockText({ ...lock, packages: packagesOf(lock, toolbox) }),
        'dev.crashcart.toolbox.sbom': JSON.stringify(JSON.parse(billOfMaterials(lock, toolbox))),
      },
      out,
      epoch: lock.epoch,
      architecture: lock.architecture,
    });
    return ref;
  });
}

/** The static program that copies the toolbox onto a node: it must be of the node's architecture. */
function installerFor(architecture: Architecture): string {
  const isHost = architecture === hostArchitecture();
  const path = inProject(isHost ? 'build/native/crashcart-install' : `build/native-${architecture}/crashcart-install`);
  if (existsSync(path)) return path;
  const compiler = architecture === 'arm64' ? 'aarch64-linux-gnu-gcc' : 'x86_64-linux-gnu-gcc';
  throw new CrashcartError(
    reasons.NotFound,
    `There is no ${path}; make it with \`make -C native${isHost ? '' : ` CC=${compiler} OUT=../build/native-${architecture}`}\`.`,
  );
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}
