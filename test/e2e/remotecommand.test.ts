import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { afterEach, expect, test } from 'vitest';
import type { DebugSession } from '../../src/api/debug-session.ts';
import { open } from '../cluster/cluster.ts';
import { session } from '../support/dry-run.ts';
import { cluster, getJson, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { run } from '../support/run.ts';
import { Terminal } from '../support/terminal.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

// Not our client but client-go's (test/cluster/modules/remotecommand): what we serve has to be what Kubernetes' own programs speak.

nothingLeftAfterEach();

/** In each direction; `make soak` sends a gigabyte. */
const megabytes = Number(process.env['CRASHCART_STREAM_MB'] ?? 100);
const streamMs = 60_000 + megabytes * 500;

const clientGo = (): string => open(cluster().name).bin('remotecommand');
const env = (): NodeJS.ProcessEnv => ({ ...process.env, KUBECONFIG: cluster().kubeconfig });

const made: string[] = [];
afterEach(async () => {
  const names = made.splice(0);
  if (names.length === 0) return;
  const { code, stderr } = await kubectl(['delete', 'dbg', '-n', 'tools', '--timeout=90s', ...names], {
    timeoutMs: 100_000,
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});

async function create(spec: Record<string, unknown>, ...names: string[]): Promise<void> {
  const items = names.map((name) =>
    session({ target: { pod: { name: 'box' } }, ...spec }, { name, namespace: 'tools' }),
  );
  made.push(...names);
  const list = { apiVersion: 'v1', kind: 'List', items };
  const { code, stderr } = await kubectl(['create', '-f', '-'], { input: JSON.stringify(list) });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
}

const command = (script: string) => ({ tty: false, stdin: true, command: ['sh', '-c', script] });
const attach = (args: readonly string[], input = '', timeoutMs = 60_000) =>
  run(clientGo(), ['-n', 'tools', ...args], { env: env(), input, timeoutMs });

test.each(['v5.channel.k8s.io', 'v4.channel.k8s.io'])(
  '%s without a terminal: standard output and error apart, and the exit code that client-go reads',
  async (protocol) => {
    await create(command('echo out; echo err >&2; exit 42'), 'apart');
    const { code, stdout, stderr } = await attach(['-protocols', protocol, 'apart']);
    expect({ code, stdout }).toEqual({ code: 42, stdout: 'out\n' });
    expect(stderr).toMatch(/^err\n/);
    expect(stderr).toMatch(/exit code 42/);
  },
);

test('the end of standard input is told without an end of the stream: what comes after it still arrives', async () => {
  await create(command('cat; sleep 1; echo after the end'), 'half');
  expect(await attach(['-i', 'half'], 'typed\n')).toEqual({ code: 0, stdout: 'typed\nafter the end\n', stderr: '' });
});

test('a terminal: both streams in one, and the size is the last one that was sent', async () => {
  await create({ tty: true }, 'window');
  using terminal = new Terminal(clientGo(), ['-n', 'tools', '-i', '-t', '-sizes', '80x24,132x43', 'window'], {
    env: env(),
  });
  terminal.enter('until [ "$(stty size)" = "43 132" ]; do sleep 0.1; done; echo "size=$(stty size)"; tty >&2');
  await terminal.expect(/size=43 132/);
  await terminal.expect(/\/dev\/pts\/0/);
  terminal.enter('exit 3');
  expect(await terminal.exit()).toBe(3);
});

/** The same bytes as the script's, counted and hashed here. */
async function digest(stream: Readable, delayMs = 0): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (bytes === 0 && delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** A block that is not all one byte, so that a lost or doubled frame shows in the sum. */
const block = Buffer.from(Array.from({ length: 1 << 20 }, (_, at) => (at * 131 + (at >> 8) * 17) & 0xff));

function* blocks(count: number): Generator<Buffer> {
  for (let at = 0; at < count; at += 1) {
    block.writeUInt32BE(at, 0);
    yield Buffer.from(block);
  }
}

const expected = () => {
  const hash = createHash('sha256');
  for (const each of blocks(megabytes)) hash.update(each);
  return hash.digest('hex');
};

test(
  `${megabytes} MB towards the command arrive as they were sent`,
  async () => {
    await create(command('sha256sum'), 'inward');
    const child = spawn(clientGo(), ['-n', 'tools', '-i', 'inward'], {
      env: env(),
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const closed = once(child, 'close');
    const said = text(child.stdout);
    await pipeline(Readable.from(blocks(megabytes)), child.stdin);
    expect((await closed)[0]).toBe(0);
    expect(await said).toBe(`${expected()}  -\n`);
  },
  streamMs,
);

test.each([
  ['a reader that keeps up', 0],
  ['a reader that sleeps first and holds everything up behind it', 3_000],
])(
  `${megabytes} MB from the command, through %s, arrive as they were written`,
  async (_, delayMs) => {
    const script = `seq 1 1000000000 | head -c ${megabytes * 2 ** 20}`;
    await create(command(script), 'outward');
    const child = spawn(clientGo(), ['-n', 'tools', 'outward'], { env: env(), stdio: ['ignore', 'pipe', 'inherit'] });
    const got = digest(child.stdout, delayMs);
    const [code] = await once(child, 'close');
    const reference = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] });
    expect(code).toBe(0);
    expect(await got).toEqual(await digest(reference.stdout));
  },
  streamMs,
);

test('a hundred sessions at once, each with its own input, output and exit code', async () => {
  const names = Array.from({ length: 100 }, (_, at) => `many-${at}`);
  await create(
    { ...command('n=$(cat); echo "$n"; exit $(( $(echo "$n" | sed s/many-//) + 1 ))'), profile: 'general' },
    ...names,
  );
  const { stdout, stderr } = await attach(['-i', ...names], '', 150_000);
  const lines = new Map(
    stdout
      .trim()
      .split('\n')
      .map((line) => [line.split(' ')[0], line]),
  );
  for (const [at, name] of names.entries()) {
    const sha256 = createHash('sha256').update(`${name}\n`).digest('hex');
    expect(lines.get(name), stderr).toBe(`${name} ${at + 1} ${name.length + 1} ${sha256}`);
  }
  await eventually(async () => {
    const { items } = await getJson<{ items: DebugSession[] }>(['get', 'dbg', '-n', 'tools']);
    // Records of other tests' sessions stay until their time to live is over.
    const wrong = items.filter(
      ({ metadata, status }) =>
        names.includes(metadata.name) && status?.exit?.code !== names.indexOf(metadata.name) + 1,
    );
    expect(items.filter(({ metadata }) => names.includes(metadata.name))).toHaveLength(names.length);
    expect(wrong.map(({ metadata, status }) => [metadata.name, status])).toEqual([]);
  }, 30_000);
}, 300_000);
