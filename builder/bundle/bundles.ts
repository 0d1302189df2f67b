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
 * One CommonJS script: all that a single executable can start, and the lighter form for what runs for long, too. A module that imports one of Node's own has all
 * of its exports made, used or not: `node:http` brings a whole fetch and WebSocket with it, three megabytes.
 */
const script: BuildOptions = {
  format: 'cjs',
  banner: { js: "const crashcartUrl = require('node:url').pathToFileURL(__filename).href;" },
  define: { 'import.meta.url': 'crashcartUrl', 'import.meta.dirname': '__dirname' },
};

/** For a start that somebody waits for: half of the text is half of the reading. */
const quick: BuildOptions = { ...script, minify: true, keepNames: true };

/** prom-client loads clients of HTTP and of worker processes, for metrics that are pushed or gathered from many. Ours are scraped, from one. */
const scrapedOnly: Plugin = {
  name: 'scraped-only',
  setup: ({ onResolve, onLoad }) => {
    const namespace = 'left-out';
    onResolve({ filter: /^\.\/lib\/(pushgateway|cluster)$/ }, ({ path, importer }) =>
      importer.includes('/prom-client/') ? { path, namespace } : undefined,
    );
    onLoad({ filter: /.*/, namespace }, () => ({ contents: '' }));
  },
};

/** For what runs for long: names stay as they are in the sources, for the stacks of errors. The text is kept in memory, so without its white space. */
const resident: BuildOptions = { ...script, minifyWhitespace: true, minifySyntax: true, plugins: [scrapedOnly] };

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
  controller: { entry: 'src/controller/main.ts', out: 'build/bundles/controller.cjs', options: resident },
  breaker: { entry: 'src/breaker/main.ts', out: 'build/bundles/breaker.cjs', options: resident },
  // koffi finds its native part beside itself: it stays a package of its own.
  agent: {
    entry: 'src/node-agent/main.ts',
    out: 'build/bundles/agent.cjs',
    options: { ...resident, external: ['koffi'] },
  },
  plugin: { entry: 'src/kubectl/main.ts', out: 'build/bundles/kubectl-crashcart.cjs', options: quick },
  nodeCli: {
    entry: 'src/node-cli/main.ts',
    out: 'build/bundles/crashcart.cjs',
    options: { ...quick, plugins: [carriedKoffi] },
  },
  // As in the agent's, koffi stays a package of its own.
  nodeCliPackage: {
    entry: 'src/node-cli/main.ts',
    out: 'build/bundles/crashcart-npm.cjs',
    options: { ...quick, external: ['koffi'] },
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
