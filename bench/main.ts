import { writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { down, up } from '../test/cluster/cluster.ts';
import { builtImages, installCrashcart } from '../test/support/install.ts';
import { run } from '../test/support/run.ts';
import { type Contender, echoTimes, throughput, timeToPrompt } from './measures.ts';
import { table } from './statistics.ts';

/** Rounds of each measure; the contenders take turns, so that noise of the machine falls on all alike. */
const rounds = Number(process.env['ROUNDS'] ?? 30);
const keystrokes = 200;
const streamBytes = 200_000_000;
const streamRounds = Math.min(rounds, 10);
const name = 'crashcart-bench';
const root = join(import.meta.dirname, '..');
const say = (text: string): void => void process.stderr.write(`${text}\n`);

async function main(): Promise<void> {
  const images = await builtImages();
  say('Bringing up a cluster for the measurements ...');
  const cluster = await up({ name, images: [images.crashcart.tar, images.toolbox.tar] });
  try {
    const target = { kubeconfig: cluster.kubeconfig, helm: cluster.bin('helm'), kubectl: cluster.bin('kubectl') };
    await installCrashcart(target);
    const env = { ...process.env, KUBECONFIG: cluster.kubeconfig };
    await startPods(target.kubectl, env);
    const report = await measure(contenders(target.kubectl, env));
    process.stdout.write(report);
    writeFileSync(join(root, 'build/bench.md'), report);
  } finally {
    await down(name);
  }
}

async function startPods(kubectl: string, env: NodeJS.ProcessEnv): Promise<void> {
  const box = {
    name: 'box',
    image: 'localhost/busybox:1',
    imagePullPolicy: 'IfNotPresent',
    command: ['sleep', '1000000'],
  };
  const pod = (name: string): object => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: { terminationGracePeriodSeconds: 0, containers: [box] },
  });
  // A pod of its own for kubectl debug: every round leaves a container in it for good.
  const pods = { apiVersion: 'v1', kind: 'List', items: [pod('box'), pod('debugged')] };
  for (const [args, input] of [
    [['wait', '--for=create', '--timeout=30s', 'serviceaccount/default'], ''],
    [['apply', '-f', '-'], JSON.stringify(pods)],
    [['wait', '--for=condition=Ready', '--timeout=60s', 'pod/box', 'pod/debugged'], ''],
  ] as const) {
    const result = await run(kubectl, args, { env, input });
    if (result.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${result.stderr}`);
  }
}

function contenders(kubectl: string, env: NodeJS.ProcessEnv): Record<'prompt' | 'echo' | 'stream', Contender[]> {
  const plugin = join(root, 'build/bin/kubectl-crashcart');
  const ours = (args: readonly string[]): Contender => ({
    name: 'kubectl crashcart',
    file: plugin,
    args: ['pod/box', ...args],
    env,
    prompt: /[$#] /,
  });
  const exec = (flags: readonly string[], args: readonly string[]): Contender => ({
    name: 'kubectl exec',
    file: kubectl,
    args: ['exec', ...flags, 'box', '--', ...args],
    env,
    prompt: /[$#] /,
  });
  const debug: Contender = {
    name: 'kubectl debug (image on the node)',
    file: kubectl,
    args: [
      'debug',
      '-it',
      'debugged',
      '--image=localhost/busybox:1',
      '--image-pull-policy=IfNotPresent',
      '--target=box',
      '--',
      'sh',
    ],
    env,
    prompt: /[$#] /,
    pressEnterAfter: /try pressing enter/,
  };
  const zeros = ['head', '-c', String(streamBytes), '/dev/zero'];
  return {
    prompt: [exec(['-it'], ['sh']), ours([]), debug],
    echo: [exec(['-it'], ['sh']), ours([])],
    stream: [exec([], zeros), ours(['--', ...zeros])],
  };
}

async function measure(all: ReturnType<typeof contenders>): Promise<string> {
  const prompt = new Map(all.prompt.map((each) => [each.name, [] as number[]]));
  for (let round = 0; round < rounds; round++) {
    for (const each of all.prompt) prompt.get(each.name)?.push(await timeToPrompt(each));
    say(`prompt: round ${round + 1} of ${rounds}`);
  }
  const echo = new Map<string, number[]>();
  for (const each of all.echo) echo.set(each.name, await echoTimes(each, keystrokes));
  const stream = new Map(all.stream.map((each) => [each.name, [] as number[]]));
  const incomplete: string[] = [];
  for (let round = 0; round < streamRounds; round++) {
    for (const each of all.stream) {
      const { rate, missing } = await throughput(each, streamBytes);
      stream.get(each.name)?.push(rate);
      if (missing > 0)
        incomplete.push(`${each.name}: ${missing} bytes of round ${round + 1} never arrived, exit code 0`);
    }
    say(`stream: round ${round + 1} of ${streamRounds}`);
  }
  const cpu = cpus();
  return [
    `${cpu.length} × ${cpu[0]?.model ?? 'cpu'}, Linux ${release()}; client, API server, nodes and pods share them. One run; the first row is the base of the ratios.\n`,
    table('From the start of the command to the first prompt', 'ms', prompt),
    table('Echo of a keystroke', 'ms', echo),
    table(`Standard output, ${streamBytes / 1e6} MB`, 'MB/s', stream),
    ...incomplete.map((line) => `- ${line}\n`),
  ].join('\n');
}

await main();
