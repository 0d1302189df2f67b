import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve as fullPath } from 'node:path';
import { type Architecture, hostArchitecture, readLock } from '../debian/lock.ts';
import { type FormatName, suffixOf } from '../formats/formats.ts';
import { writeToolboxImage } from '../images/toolbox-image.ts';
import { inProject } from '../paths.ts';
import type { Tell } from '../step.ts';
import { buildToolbox } from '../toolbox/build.ts';
import { digestsFile, recordDigest, recordedDigest } from '../toolbox/digests.ts';

export interface BuildOptions {
  toolbox: string;
  arch: Architecture;
  format: FormatName | 'oci';
  output?: string;
  record?: boolean;
}

/** Builds one toolbox; says where it is, how large, and with which digest. */
export async function buildVerb(
  options: BuildOptions,
  environment: NodeJS.ProcessEnv,
  tell: Tell,
  print: Tell,
): Promise<void> {
  const start = performance.now();
  const { toolbox, arch, format } = options;
  const lock = readLock(arch);
  const out = options.output === undefined ? inProject(defaultOutput(options)) : fullPath(options.output);
  if (format === 'oci') await writeToolboxImage({ lock, toolbox, out, level: 'ship', environment, tell });
  else await buildToolbox({ lock, toolbox, format, out, environment, tell });
  const { size } = await stat(out);
  tell(
    `${toolbox} for ${arch} as of ${lock.date}: ${(size / 1e6).toFixed(1)} MB in ${((performance.now() - start) / 1000).toFixed(1)} s`,
  );
  const digest = `sha256:${await sha256(out)}`;
  if (format !== 'oci') await compare(options, `${toolbox}.${suffixOf(format)}`, digest, tell);
  print(`${digest}  ${out}\n`);
}

/** Says whether the bytes are those that everybody else gets from this checkout, or writes down that they are from now on. */
async function compare({ arch, record }: BuildOptions, name: string, digest: string, tell: Tell): Promise<void> {
  if (record) {
    await recordDigest(arch, name, digest);
    return tell(`recorded in ${digestsFile}`);
  }
  const recorded = recordedDigest(arch, name);
  if (recorded === digest) tell(`the bytes that ${digestsFile} has recorded`);
  else if (recorded !== undefined)
    tell(
      `other bytes than ${digestsFile} has recorded (${recorded}): list, lock or builder were changed; if that is meant, build with --record`,
    );
}

function defaultOutput({ toolbox, arch, format }: BuildOptions): string {
  const name = arch === hostArchitecture() ? toolbox : `${toolbox}-${arch}`;
  return `build/toolbox/${name}.${format === 'oci' ? 'oci.tar' : suffixOf(format)}`;
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}
