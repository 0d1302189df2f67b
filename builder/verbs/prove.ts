import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { type Architecture, hostArchitecture, readLock } from '../debian/lock.ts';
import { inProject } from '../paths.ts';
import { proveEmulated } from '../prove/emulated.ts';
import { prove } from '../prove/prove.ts';
import type { Tell } from '../step.ts';
import { toolboxFile } from '../toolbox/build.ts';

/** Proves an image; throws Invalid with every failure when there is one. */
export async function proveVerb(
  image: string | undefined,
  { toolbox, arch }: { toolbox: string; arch: Architecture },
  environment: NodeJS.ProcessEnv,
  tell: Tell,
): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new CrashcartError(
      reasons.Forbidden,
      'The proof mounts the image in namespaces of its own, which takes root: run it with sudo.',
    );
  const path = image ?? inProject(toolboxFile(arch === hostArchitecture() ? toolbox : `${toolbox}-${arch}`, 'erofs'));
  if (!existsSync(path))
    throw new CrashcartError(
      reasons.NotFound,
      `There is no ${path}; build it with \`builder/crashcart-build build --toolbox ${toolbox} --arch ${arch}\`.`,
    );
  const options = { image: path, type: fileSystemOf(path), lock: readLock(hostArchitecture()), environment, tell };
  const proof = await (arch === hostArchitecture() ? prove(options) : proveEmulated(options, arch));
  if (proof.failures.length === 0) return;
  const lines = proof.failures.map(
    ({ command, environment: where, problem }) => `  ${command} in ${where}: ${problem}`,
  );
  throw new CrashcartError(reasons.Invalid, `The toolbox does not pass:\n${lines.join('\n')}`);
}

/** By the magic number of the superblock. */
function fileSystemOf(path: string): string {
  const bytes = Buffer.alloc(2048);
  const file = openSync(path, 'r');
  try {
    readSync(file, bytes, 0, bytes.length, 0);
  } finally {
    closeSync(file);
  }
  if (bytes.readUInt32LE(1024) === 0xe0f5e1e2) return 'erofs';
  if (bytes.readUInt32LE(0) === 0x73717368) return 'squashfs';
  if (bytes.readUInt16LE(1024 + 56) === 0xef53) return 'ext4';
  throw new CrashcartError(
    reasons.Invalid,
    `${path} is no image of a toolbox: it is neither erofs, squashfs nor ext4.`,
  );
}
