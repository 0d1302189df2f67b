import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild';
import { inProject } from '../paths.ts';
import { licencesOfBundles } from './licences.ts';

export interface Program {
  entry: string;
  out: string;
  options: BuildOptions;
}

/**
 * CommonJS packages inside an ES module still call require, and some look for their own directory. They get both, under
 * names that no source uses.
 */
const commonJsInModule = [
  "import { createRequire as crashcartCreateRequire } from 'node:module';",
  "import { fileURLToPath as crashcartFileUrlToPath } from 'node:url';",
  'const require = crashcartCreateRequire(import.meta.url);',
  "const __dirname = crashcartFileUrlToPath(new URL('.', import.meta.url));",
  'const __filename = crashcartFileUrlToPath(import.meta.url);',
].join('\n');

const module: BuildOptions = { format: 'esm', banner: { js: commonJsInModule } };

/** A single executable starts one CommonJS script, and has no import.meta of its own. */
const script: BuildOptions = {
  format: 'cjs',
  banner: { js: "const crashcartUrl = require('node:url').pathToFileURL(__filename).href;" },
  define: { 'import.meta.url': 'crashcartUrl', 'import.meta.dirname': '__dirname' },
  minify: true,
  keepNames: true,
};

/** In the node's executable koffi's native part is an asset: what koffi takes for its platform package gets it out. */
const carriedKoffi: Plugin = {
  name: 'carried-koffi',
  setup: ({ onResolve, onLoad }) => {
    const filter = /^@koromix\/koffi-/;
    const namespace = 'carried-koffi';
    const ours = `@koromix/koffi-linux-${process.arch}`;
    onResolve({ filter }, ({ path }) => (path === ours ? { path, namespace } : { path, external: true }));
    onLoad({ filter, namespace }, () => ({
      contents: `module.exports = require(${JSON.stringify(inProject('src/node-cli/koffi-addon.ts'))}).addon;`,
      resolveDir: inProject(''),
    }));
  },
};

export const programs = {
  controller: { entry: 'src/controller/main.ts', out: 'build/bundles/controller.mjs', options: module },
  breaker: { entry: 'src/breaker/main.ts', out: 'build/bundles/breaker.mjs', options: module },
  // koffi finds its native part beside itself: it stays a package of its own.
  agent: {
    entry: 'src/node-agent/main.ts',
    out: 'build/bundles/agent.mjs',
    options: { ...module, external: ['koffi'] },
  },
  plugin: { entry: 'src/kubectl/main.ts', out: 'build/bundles/kubectl-crashcart.cjs', options: script },
  nodeCli: {
    entry: 'src/node-cli/main.ts',
    out: 'build/bundles/crashcart.cjs',
    options: { ...script, plugins: [carriedKoffi] },
  },
  // As in the agent's, koffi stays a package of its own.
  nodeCliPackage: {
    entry: 'src/node-cli/main.ts',
    out: 'build/bundles/crashcart-npm.cjs',
    options: { ...script, external: ['koffi'] },
  },
} as const satisfies Record<string, Program>;

export const licencesFile = 'build/bundles/licences.txt';

/** Bundles every program, and collects the licences of what went into them. */
export async function buildBundles(): Promise<void> {
  const metafiles = await Promise.all(Object.values(programs).map(buildBundle));
  await writeFile(inProject(licencesFile), await licencesOfBundles(metafiles));
}

/** Bundles one program into one file. esbuild prints what is wrong with a source before it throws. */
export async function buildBundle({ entry, out, options }: Program): Promise<Metafile> {
  const result = await build({
    entryPoints: [inProject(entry)],
    outfile: inProject(out),
    absWorkingDir: inProject(''),
    bundle: true,
    platform: 'node',
    target: 'node24',
    // The licences of all packages go into one file instead.
    legalComments: 'none',
    logLevel: 'warning',
    ...options,
    metafile: true,
    write: false,
  });
  for (const { path, contents } of result.outputFiles) {
    await mkdir(dirname(path), { recursive: true });
    // Who starts a program meanwhile gets the old one or the new one.
    await writeFile(`${path}.new`, contents);
    await rename(`${path}.new`, path);
  }
  return result.metafile;
}
