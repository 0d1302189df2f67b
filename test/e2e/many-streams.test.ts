import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { connectApiServer } from '../cluster/api-server.ts';
import { open } from '../cluster/cluster.ts';
import { must, session } from '../support/dry-run.ts';
import { cluster, getJson, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { onNode } from '../support/node-leftovers.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

// What a whole crowd of live sessions sees when a part of Crashcart or of the cluster goes away under it.

nothingLeftAfterEach();

const count = Number(process.env['CRASHCART_STREAMS'] ?? 30);
const lines = 250;
/** A line every 150 ms from each, for more than half a minute, and a code of its own at the end: 1 … 100. */
const talks = (code: number): readonly string[] => [
  'python3',
  '-uc',
  `import sys, time
for i in range(${lines}): print(i); time.sleep(0.15)
sys.exit(${code})`,
];
const codeOf = (at: number): number => (at % 100) + 1;

interface Stream {
  text: string;
  said: string;
  readonly arrivals: number[];
  readonly exit: Promise<number>;
}

function follow(name: string): Stream {
  const env = { ...process.env, KUBECONFIG: cluster().kubeconfig };
  const child = spawn(cluster().tools.crashcart, ['attach', name, '-n', 'tools'], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exit = once(child, 'close').then(([code]) => code as number);
  const stream: Stream = { text: '', said: '', arrivals: [], exit };
  child.stdout.on('data', (chunk: Buffer) => {
    stream.text += chunk.toString('latin1');
    stream.arrivals.push(performance.now());
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stream.said += chunk.toString();
  });
  return stream;
}

const system = ['-n', 'crashcart-system'];

const bothReplicas = () => must('rollout', 'status', ...system, 'deployment/crashcart-controller', '--timeout=90s');

/** SIGKILL: nothing is said to anybody. */
async function killReplica(which: 'leader' | 'other'): Promise<void> {
  const { spec } = await getJson<{ spec: { holderIdentity: string } }>([
    'get',
    'lease/crashcart-controller',
    ...system,
  ]);
  const { items } = await getJson<{ items: { metadata: { name: string }; spec: { nodeName: string } }[] }>([
    'get',
    'pods',
    ...system,
    '-l',
    'app.kubernetes.io/component=controller',
  ]);
  const pod = items.find(({ metadata }) => spec.holderIdentity.includes(metadata.name) === (which === 'leader'));
  const node = cluster().nodes.find(({ name }) => name === pod?.spec.nodeName);
  if (!pod || !node) throw new Error(`there is no ${which} of ${items.length} controllers`);
  const kill = `for p in /proc/[0-9]*; do
    tr '\\0' ' ' < $p/cmdline | grep -q '^/usr/bin/node /app/controller.cjs' || continue
    tr '\\0' '\\n' < $p/environ | grep -qx HOSTNAME=${pod.metadata.name} && kill -9 \${p#/proc/} && echo killed
  done 2>/dev/null; true`;
  expect((await onNode(node, kill)).stdout).toBe('killed\n');
}

/** Resolves when it answers again: its own start is not ours. */
async function restartApiServer(): Promise<void> {
  const [control] = cluster().nodes;
  await open(cluster().name).restart(control!.name, 'kube-apiserver');
  const api = connectApiServer(cluster().kubeconfig);
  await eventually(async () => expect((await api.get('/readyz'))?.status).toBe(200), 60_000, 20);
  api.close();
}

/** An idle machine takes a quarter of it; what is bounded here is that nobody waits for a timeout or a long pause. */
const backWithinMs = 10_000;

test.each([
  ['the leader, a gateway to half of them, is killed', 'led', () => killReplica('leader')],
  ['the replica that does not lead, a gateway to the others, is killed', 'followed', () => killReplica('other')],
  ['the API server restarts', 'restarted', restartApiServer],
])(
  `${count} live sessions when %s: all come back by themselves within ${backWithinMs / 1_000} s, and not a line is lost or comes twice`,
  async (_, name, breakIt) => {
    await bothReplicas();
    const names = Array.from({ length: count }, (_, at) => `${name}-${at}`);
    const items = names.map((each, at) =>
      session(
        { target: { pod: { name: 'box' } }, tty: false, command: talks(codeOf(at)) },
        { name: each, namespace: 'tools' },
      ),
    );
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
    expect(await kubectl(['create', '-f', '-'], { input: list, timeoutMs: 60_000 })).toMatchObject({ code: 0 });
    const streams = names.map(follow);
    await eventually(() => {
      for (const { text, said } of streams) expect(text, said).toMatch(/\n/);
    }, 60_000);
    await sleep(1_000);
    const brokenAt = performance.now();
    await breakIt();
    const mendedAt = performance.now();
    const codes = await Promise.all(streams.map(({ exit }) => exit));
    expect(codes, streams.map(({ said }) => said).join('')).toEqual(names.map((_, at) => codeOf(at)));
    const expected = Array.from({ length: lines }, (_, at) => `${at}\n`).join('');
    for (const [at, { text }] of streams.entries()) expect(text, names[at]).toBe(expected);
    const cut = streams.filter(({ said }) => said.includes('connection lost'));
    expect(cut.length).toBeGreaterThan(0);
    const silence = Math.max(
      ...streams.map(({ arrivals }) => longestGap(arrivals.filter((each) => each > brokenAt - 500))),
    );
    const back = streams.map(({ arrivals }) => (arrivals.find((each) => each > mendedAt) ?? Infinity) - mendedAt);
    console.log(
      `${cut.length} of ${count} streams were cut; the longest silence of one was ${Math.round(silence)} ms; ${Math.round(Math.max(...back))} ms after the break was over the last of them spoke again`,
    );
    expect(Math.max(...back)).toBeLessThan(backWithinMs);
    await eventually(async () => expect((await kubectl(['get', '--raw', '/readyz'])).code).toBe(0), 60_000);
    await kubectl(['delete', 'dbg', '-n', 'tools', ...names, '--timeout=60s'], { timeoutMs: 70_000 });
  },
  300_000,
);

const longestGap = (times: readonly number[]): number =>
  times.reduce((most, time, at) => Math.max(most, time - (times[at - 1] ?? time)), 0);
