import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defaultNamespace } from '../../src/api/names.ts';
import { run } from './run.ts';

const root = join(import.meta.dirname, '../..');

interface BuiltImage {
  /** `localhost/crashcart:0.1.0-0123456789ab`. */
  readonly ref: string;
  /** Relative to the checkout. */
  readonly tar: string;
}

export interface BuiltImages {
  readonly crashcart: BuiltImage;
  readonly toolbox: BuiltImage;
}

/** What `make images` made. */
export async function builtImages(): Promise<BuiltImages> {
  const images = JSON.parse(await readFile(join(root, 'build/images/images.json'), 'utf8')) as BuiltImages;
  const absolute = (image: BuiltImage): BuiltImage => ({ ...image, tar: join(root, image.tar) });
  return { crashcart: absolute(images.crashcart), toolbox: absolute(images.toolbox) };
}

export interface Target {
  readonly kubeconfig: string;
  readonly helm: string;
  readonly kubectl: string;
  /** Where the images were pushed to; left out: the nodes already have them under the names they were built with. */
  readonly registry?: string;
  /** More of the chart's values, as `--set` takes them. */
  readonly values?: readonly string[];
  readonly log?: (line: string) => void;
}

/** `host/name:tag` under another registry: the last path segment and the tag stay. */
export const inRegistry = (ref: string, registry: string | undefined): string =>
  registry === undefined ? ref : `${registry.replace(/\/$/, '')}/${ref.slice(ref.lastIndexOf('/') + 1)}`;

/** Installs, or upgrades to, this checkout's chart and images; returns once controller and agents are ready. */
export async function installCrashcart(target: Target): Promise<void> {
  const images = await builtImages();
  const env = { ...process.env, KUBECONFIG: target.kubeconfig };
  const ref = inRegistry(images.crashcart.ref, target.registry);
  const colon = ref.lastIndexOf(':');
  const values = [
    `image.repository=${ref.slice(0, colon)}`,
    `image.tag=${ref.slice(colon + 1)}`,
    `toolboxes.default.image=${inRegistry(images.toolbox.ref, target.registry)}`,
    ...(target.values ?? []),
  ];
  const args = ['upgrade', '--install', 'crashcart', join(root, 'charts/crashcart'), '--namespace', defaultNamespace];
  const flags = ['--create-namespace', '--wait', '--timeout', '3m', ...values.flatMap((value) => ['--set', value])];
  const helm = await run(target.helm, [...args, ...flags], { env, timeoutMs: 200_000 });
  if (helm.code !== 0)
    throw new Error(`helm ${args.join(' ')}: ${helm.stderr}${await whatIsWrong(target.kubectl, env)}`);
  target.log?.(helm.stdout);
}

/** A pod that does not get ready says why in its events and its log: quote both. */
async function whatIsWrong(kubectl: string, env: NodeJS.ProcessEnv): Promise<string> {
  const ask = async (...args: string[]): Promise<string> =>
    (await run(kubectl, [...args, '-n', defaultNamespace], { env })).stdout;
  const parts = [
    await ask('get', 'pods', '-o', 'wide'),
    await ask(
      'get',
      'events',
      '--field-selector',
      'type=Warning',
      '-o',
      'custom-columns=OBJECT:.involvedObject.name,MESSAGE:.message',
    ),
    await ask('logs', '-l', 'app.kubernetes.io/name=crashcart', '--all-containers', '--prefix', '--tail=15'),
  ];
  return `\n${parts.join('\n')}`;
}
