import { readdir, readFile } from 'node:fs/promises';
import type { Metafile } from 'esbuild';
import { inProject } from '../paths.ts';

/** One text with the licence of every npm package that a bundle contains, sorted by name. */
export async function licencesOfBundles(metafiles: readonly Metafile[]): Promise<string> {
  const names = new Set(metafiles.flatMap(({ inputs }) => Object.keys(inputs).flatMap(packageOf)));
  const texts = [...names].sort().map(async (name) => `${'='.repeat(100)}\n${name}\n\n${await licenceOf(name)}\n`);
  return (await Promise.all(texts)).join('\n');
}

/** The package that a bundled file is of: `node_modules/a/node_modules/@b/c/lib/x.js` is of `a/node_modules/@b/c`. */
export function packageOf(input: string): string[] {
  const found = /(?:^|\/)node_modules\/((?:.*node_modules\/)?(?:@[^/]+\/)?[^/]+)/.exec(input);
  return found?.[1] ? [found[1]] : [];
}

async function licenceOf(name: string): Promise<string> {
  const directory = inProject(`node_modules/${name}`);
  const files = (await readdir(directory)).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file)).sort();
  const texts = files.map((file) => readFile(`${directory}/${file}`, 'utf8'));
  const { license }: { license?: unknown } = JSON.parse(await readFile(`${directory}/package.json`, 'utf8'));
  return [`Licence: ${String(license)}`, ...(await Promise.all(texts))].join('\n\n');
}
