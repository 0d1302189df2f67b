import { isDeepStrictEqual, parseArgs } from 'node:util';
import { CrashcartError, describe, reasons } from '../../src/base/errors.ts';
import { builtImages, installCrashcart } from '../support/install.ts';
import { build } from './build.ts';
import { type Cluster, down, leftovers, open, up } from './cluster.ts';
import { runInForeground } from './command.ts';
import { pathWith, toolEnvironment } from './handle.ts';
import { defaultName } from './naming.ts';
import { preflight, requireRoot } from './preflight.ts';
import { readState } from './state.ts';

const usage = `Usage: node test/cluster/main.ts VERB

  build                                      build the cluster's programs into the cache
  up     [--name N] [--nodes 2] [--images a.tar,b.tar]
  down   [--name N]
  run    [--name N] [--nodes 2] [--images …] -- COMMAND …
                                             bring up, run with KUBECONFIG set, take down whatever happens
  install [--name N]                         install, or upgrade to, this checkout's chart and images
  images [--name N] FILE.tar …               import archives into every node
  on     NODE [--name N] -- COMMAND …        run inside a node
  leftovers [--name N]                       list what is left of a cluster on this machine`;

const say = (line: string): void => console.error(line);

interface Arguments {
  readonly verb: string;
  readonly name: string;
  readonly nodes: number;
  readonly images: readonly string[];
  readonly operands: readonly string[];
  /** What follows `--`. */
  readonly command: readonly string[];
}

function readArguments(argv: readonly string[]): Arguments {
  const end = argv.indexOf('--');
  const own = end < 0 ? argv : argv.slice(0, end);
  const { values, positionals } = parseArgs({
    args: [...own],
    allowPositionals: true,
    options: {
      name: { type: 'string', default: defaultName },
      nodes: { type: 'string', default: '2' },
      images: { type: 'string', default: '' },
    },
  });
  const [verb = '', ...operands] = positionals;
  const images = values.images.split(',').filter(Boolean);
  const command = end < 0 ? [] : argv.slice(end + 1);
  return { verb, name: values.name, nodes: Number(values.nodes), images, operands, command };
}

/** Aborts at the first Ctrl-C, TERM or hang-up; later ones are swallowed, so that the cleaning up is not cut short. */
function interruption(): AbortController {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      controller.abort(new CrashcartError(reasons.Killed, `Interrupted by ${signal}: everything was taken down.`));
    });
  }
  return controller;
}

async function bringUp(args: Arguments): Promise<number> {
  const cluster = (await reuse(args)) ?? (await start(args));
  say(`\n  export KUBECONFIG=${cluster.kubeconfig}\n  build/bin/kubectl get nodes\n`);
  return 0;
}

const start = ({ name, nodes, images }: Arguments): Promise<Cluster> =>
  up({ name, nodes, images, report: say, signal: interruption().signal });

function running(name: string): Cluster | undefined {
  try {
    return open(name);
  } catch (error) {
    if (error instanceof CrashcartError && error.reason === reasons.NotFound) return undefined;
    throw error;
  }
}

/** The cluster, if it runs already, is whole and was made from the same programs; with the images that were asked for. */
async function reuse({ name, nodes, images }: Arguments): Promise<Cluster | undefined> {
  const cluster = running(name);
  if (!cluster || cluster.nodes.length !== nodes) return undefined;
  if (!isDeepStrictEqual(readState(name)?.binaries, Object.fromEntries(await build(say)))) return undefined;
  const ready = await cluster.kubectl(['wait', '--for=condition=Ready', 'node', '--all', '--timeout=5s']).then(
    () => true,
    () => false,
  );
  if (!ready) return undefined;
  for (const image of images) await cluster.importImage(image);
  say(`'${name}' runs already`);
  return cluster;
}

async function runCommand(args: Arguments): Promise<number> {
  const { name, command } = args;
  const [program, ...rest] = command;
  if (!program) throw new CrashcartError(reasons.Invalid, 'Nothing to run: say the command after --.');
  if (running(name)) {
    const message = `'${name}' runs already and would be taken down afterwards: take another --name.`;
    throw new CrashcartError(reasons.Invalid, message);
  }
  const cluster = await start(args);
  try {
    const path = pathWith(readState(name)?.binaries ?? {});
    return await runInForeground(program, rest, {
      env: { ...process.env, PATH: path, ...toolEnvironment(cluster.directory) },
    });
  } finally {
    await down(name);
  }
}

async function install(cluster: Cluster): Promise<void> {
  const { crashcart, toolbox } = await builtImages();
  for (const { tar } of [crashcart, toolbox]) await cluster.importImage(tar);
  const tools = { helm: cluster.bin('helm'), kubectl: cluster.bin('kubectl') };
  await installCrashcart({ ...tools, kubeconfig: cluster.kubeconfig, log: console.log });
}

const verbs: Readonly<Record<string, (args: Arguments) => Promise<number>>> = {
  build: async () => {
    preflight();
    for (const [module, directory] of await build(say, interruption().signal)) console.log(`${module}\t${directory}`);
    return 0;
  },
  up: bringUp,
  down: async ({ name }) => {
    await down(name);
    return 0;
  },
  run: runCommand,
  install: async ({ name }) => {
    await install(open(name));
    return 0;
  },
  images: async ({ name, operands }) => {
    const cluster = open(name);
    for (const tar of operands) await cluster.importImage(tar);
    return 0;
  },
  on: async ({ name, operands, command }) => {
    const cluster = open(name);
    const [node = ''] = operands;
    return runInForeground('nsenter', cluster.nsenter(node, command.length > 0 ? command : ['bash']));
  },
  leftovers: async ({ name }) => {
    const left = await leftovers(name);
    for (const line of left) console.log(line);
    return left.length > 0 ? 1 : 0;
  },
};

try {
  const args = readArguments(process.argv.slice(2));
  const verb = verbs[args.verb];
  if (!verb) throw new CrashcartError(reasons.Invalid, usage);
  if (args.verb !== 'build') requireRoot();
  process.exitCode = await verb(args);
} catch (error) {
  console.error(describe(error));
  process.exitCode = error instanceof CrashcartError && error.reason === reasons.Killed ? 130 : 1;
}
