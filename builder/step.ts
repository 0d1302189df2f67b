import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { inProject } from './paths.ts';

/** One thing to build. It is made again only when what it is made from has changed. */
export interface Step {
  name: string;
  /** Files and directories inside the checkout; of directories everything but tests counts. */
  from: readonly string[];
  /** What else decides about the result, e.g. the version of a tool. */
  also?: readonly string[];
  /** Files inside the checkout that `make` writes. */
  to: readonly string[];
  make: () => Promise<void>;
}

export type Tell = (line: string) => void;

/** Makes a step if it is not as it should be, and tells which of both it was and how long it took. */
export async function ensure(step: Step, tell: Tell): Promise<void> {
  const start = performance.now();
  const fingerprint = await fingerprintOf(step);
  const stamp = inProject(`build/.stamps/${step.name}`);
  const seconds = () => `${((performance.now() - start) / 1000).toFixed(1)} s`;
  if ((await readIfThere(stamp)) === (await stampOf(fingerprint, step))) return tell(`${step.name}: unchanged`);
  tell(`${step.name}: building ...`);
  await step.make();
  await mkdir(dirname(stamp), { recursive: true });
  await writeFile(stamp, await stampOf(fingerprint, step));
  tell(`${step.name}: ${(await Promise.all(step.to.map(sized))).join(', ')} in ${seconds()}`);
}

async function fingerprintOf(step: Step): Promise<string> {
  const hash = createHash('sha256');
  for (const part of step.also ?? []) hash.update(`${part}\0`);
  for (const path of step.from) await addTo(hash, path);
  return hash.digest('hex');
}

async function addTo(hash: Hash, path: string): Promise<void> {
  const full = inProject(path);
  if ((await stat(full)).isDirectory()) {
    const names = (await readdir(full)).filter((name) => name !== 'node_modules' && !name.includes('.test.'));
    for (const name of names.sort()) await addTo(hash, join(path, name));
    return;
  }
  hash.update(`${path}\0`);
  for await (const chunk of createReadStream(full)) hash.update(chunk);
}

/** Outputs are recognised by size and time: somebody who edits them or removes one gets them made again. */
async function stampOf(fingerprint: string, step: Step): Promise<string> {
  const outputs = step.to.map(async (path) => {
    const found = await stat(inProject(path)).catch(() => undefined);
    return `${path} ${found?.size} ${found?.mtimeMs}`;
  });
  return [fingerprint, ...(await Promise.all(outputs))].join('\n');
}

const readIfThere = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);

async function sized(path: string): Promise<string> {
  const { size } = await stat(inProject(path));
  return `${path} (${(size / 1e6).toFixed(1)} MB)`;
}
