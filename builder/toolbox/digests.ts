import { readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { type Architecture, architectures } from '../debian/lock.ts';
import { inProject } from '../paths.ts';

/**
 * The digests that toolboxes have, built from this checkout by anyone, anywhere, on any day. What changes their bytes (the lock, the
 * list, the builder) changes this file too, so that it is seen.
 */
export const digestsFile = 'builder/digests.json';

type Digests = Readonly<Record<Architecture, Readonly<Record<string, string>>>>;

/** `name` is that of the file: `default.erofs`. Undefined for what is not recorded. */
export const recordedDigest = (architecture: Architecture, name: string): string | undefined =>
  readDigests()[architecture][name];

export async function recordDigest(architecture: Architecture, name: string, digest: string): Promise<void> {
  const digests = readDigests();
  const own = Object.entries({ ...digests[architecture], [name]: digest }).sort(([a], [b]) => (a < b ? -1 : 1));
  const path = inProject(digestsFile);
  const text = JSON.stringify({ ...digests, [architecture]: Object.fromEntries(own) }, null, 2);
  await writeFile(`${path}.new`, `${text}\n`);
  await rename(`${path}.new`, path);
}

function readDigests(): Digests {
  const path = inProject(digestsFile);
  try {
    const read: Record<string, unknown> = JSON.parse(readFileSync(path, 'utf8'));
    const [amd64, arm64] = architectures.map((architecture) => digestsOf(read[architecture]));
    return { amd64: amd64 ?? {}, arm64: arm64 ?? {} };
  } catch (cause) {
    throw new CrashcartError(
      reasons.Invalid,
      `${path} cannot be read; take it back from git, and record digests with \`builder/crashcart-build build --record\`.`,
      { cause },
    );
  }
}

function digestsOf(value: unknown): Record<string, string> {
  const entries = Object.entries(value ?? {});
  for (const [name, digest] of entries)
    if (typeof digest !== 'string' || !/^sha256:[0-9a-f]{64}$/.test(digest))
      throw new Error(`${name} has no digest of the form sha256:…`);
  return Object.fromEntries(entries);
}
