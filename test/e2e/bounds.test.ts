import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { DebugSession } from '../../src/api/debug-session.ts';
import { open } from '../cluster/cluster.ts';
import { must, session } from '../support/dry-run.ts';
import { cluster, crashcart, crashcartTerminal, getJson, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { metricsOf } from '../support/metrics.ts';
import { keptBytes, pidsOf, residentBytes, writtenBytes } from '../support/processes.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';
import { reviewEveryMs } from './values.ts';

// What one session may cost: bytes on the way that nobody takes, and requests to the API server.

nothingLeftAfterEach();

const mib = 1024 * 1024;
const line = '0123456789abcdef0123456789abcdef\n';
const env = (): NodeJS.ProcessEnv => ({ ...process.env, KUBECONFIG: cluster().kubeconfig });

/**
 * What each process on the way may hold of one session's output that nobody takes, beside what it keeps for who comes back; and by how much it may
 * grow meanwhile. The agent: its window of HTTP/2, and what it has read beside. The gateway: that window, unread, and the WebSocket's. The client: a read and a write.
 */
const bounds: Readonly<Record<string, number>> = { agent: 2 * mib, gateway: 3 * mib, client: 2 * mib };
const growthBytes = 8 * mib;
/** While it fills: what passed through is garbage that Node's heap has not collected yet. */
const warmBytes = 48 * mib;

const onTheWay = (client: number): ReadonlyArray<{ readonly name: string; readonly pid: number }> => [
  ...pidsOf(/^\/usr\/bin\/node \/app\/agent\.cjs/).map((pid) => ({ name: 'agent', pid })),
  ...pidsOf(/^\/usr\/bin\/node \/app\/controller\.cjs/).map((pid) => ({ name: 'gateway', pid })),
  { name: 'client', pid: client },
];

/** What a TCP connection may have on its way at most: in the kernel, on both of its ends. */
const kernelBytes = (): number =>
  ['tcp_wmem', 'tcp_rmem']
    .map((name) => Number(readFileSync(`/proc/sys/net/ipv4/${name}`, 'utf8').split(/\s+/)[2]))
    .reduce((sum, most) => sum + most);

const inMib = (bytes: number): string => `${(bytes / mib).toFixed(2)} MiB`;

/** The session writes a megabyte further than the plugin says that it has read. For who says nothing, the kernel's buffers of two connections fill, too: as much as it gives them. */
test.each<[string, string, number, () => [string, string[]]]>([
  ['our plugin', 'said', 4 * mib, () => [cluster().tools.crashcart, ['attach', '-n', 'tools']]],
  [
    'client-go’s',
    'unsaid',
    8 * mib + 2 * kernelBytes(),
    () => [open(cluster().name).bin('remotecommand'), ['-n', 'tools']],
  ],
])(
  'a client that does not read, %s: the command stops after a fixed number of bytes, each process on the way holds no more than its part of them, and none grows',
  async (_, name, most, client) => {
    const command = ['sh', '-c', `sleep 8; exec yes ${line.trim()}`];
    const talker = session({ target: { pod: { name: 'box' } }, tty: false, command }, { name, namespace: 'tools' });
    expect(await kubectl(['create', '-f', '-'], { input: JSON.stringify(talker) })).toMatchObject({ code: 0 });
    await must('wait', '-n', 'tools', `dbg/${name}`, '--for=condition=Ready', '--timeout=20s');
    const [program, args] = client();
    const child = spawn(program, [...args, name], { env: env(), stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    try {
      await eventually(async () =>
        expect((await metricsOf('controller', 'crashcart_attaches')).toSorted()).toEqual([0, 1]),
      );
      await sleep(1_000);
      const way = onTheWay(child.pid!);
      expect(new Set(way.map(({ name }) => name))).toEqual(new Set(Object.keys(bounds)));
      const quiet = way.map(({ pid }) => ({ kept: keptBytes(pid), resident: residentBytes(pid) }));
      const yes = await eventually(() => {
        const [pid, ...more] = pidsOf(/^(\S*\/)?(busybox )?yes 0123456789abcdef0123456789abcdef $/);
        if (!pid || more.length > 0) throw new Error('the command does not write');
        return pid;
      }, 30_000);
      // Nobody has read a byte of the pipe. It holds as soon as every buffer on the way is full.
      const held = await eventually(async () => {
        const before = writtenBytes(yes);
        await sleep(1_500);
        expect(writtenBytes(yes)).toBe(before);
        return before;
      }, 30_000);
      const full = way.map(({ pid }) => ({ kept: keptBytes(pid), resident: residentBytes(pid) }));
      await sleep(10_000);
      expect(writtenBytes(yes)).toBe(held);
      console.log(`the command was stopped after ${inMib(held)}, of ${inMib(most)} at most`);
      for (const [at, { name, pid }] of way.entries()) {
        const holds = full[at]!.kept - quiet[at]!.kept;
        const filled = full[at]!.resident - quiet[at]!.resident;
        const grows = residentBytes(pid) - full[at]!.resident;
        console.log(
          `${name} ${pid}: holds ${inMib(holds)}; resident ${inMib(full[at]!.resident)}, ${inMib(filled)} more than before, ${inMib(grows)} more after ten seconds`,
        );
        expect(holds, `${name} holds`).toBeLessThan(bounds[name]!);
        expect(filled, `${name} fills`).toBeLessThan(warmBytes);
        expect(grows, `${name} grows`).toBeLessThan(growthBytes);
      }
      expect(held).toBeGreaterThan(0);
      expect(held).toBeLessThan(most);
      // Read again, it goes on, without a hole and without a byte twice.
      let got = 0;
      for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
        expect(chunk.toString('latin1')).toBe(expectedAt(got, chunk.length));
        got += chunk.length;
        if (got > held + 20 * mib) break;
      }
    } finally {
      child.kill('SIGTERM');
      child.stdout.destroy();
      await ended;
      await must('delete', 'dbg', name, '-n', 'tools', '--timeout=30s');
    }
  },
  120_000,
);

const lines = line.repeat(8_000);
const expectedAt = (offset: number, length: number): string => {
  const start = offset % line.length;
  return lines.slice(start, start + length);
};

test('binary through pipes on both sides, as tcpdump | wireshark has it: every byte as it was', async () => {
  // A capture as tcpdump writes it: bytes of every value, no newline anywhere near where one would be flushed.
  const packets = Array.from({ length: 2_000 }, () => {
    const body = randomBytes(60 + Math.floor(Math.random() * 1_400));
    const head = Buffer.alloc(16);
    head.writeUInt32LE(body.length, 8);
    head.writeUInt32LE(body.length, 12);
    return Buffer.concat([head, body]);
  });
  const header = Buffer.from('d4c3b2a1020004000000000000000000ffff000001000000', 'hex');
  const capture = Buffer.concat([header, ...packets]);
  const child = spawn(cluster().tools.crashcart, ['box', '-n', 'tools', '-i', '--', 'cat'], { env: env() });
  child.stdin.end(capture);
  const [got, [code]] = await Promise.all([buffer(child.stdout), once(child, 'close')]);
  expect(code).toBe(0);
  expect(got.length).toBe(capture.length);
  expect(createHash('sha256').update(got).digest('hex')).toBe(createHash('sha256').update(capture).digest('hex'));
});

test('a command that reads no input until its output is taken, which is longer than all that is kept for it', async () => {
  const bytes = 3 * mib;
  const command = ['sh', '-c', `head -c ${bytes} /dev/zero; cat`];
  const child = spawn(cluster().tools.crashcart, ['box', '-n', 'tools', '-i', '--', ...command], { env: env() });
  const input = randomBytes(bytes);
  child.stdin.end(input);
  const [got, [code]] = await Promise.all([buffer(child.stdout), once(child, 'close')]);
  expect(code).toBe(0);
  expect(got.length).toBe(2 * bytes);
  expect(got.subarray(bytes).equals(input)).toBe(true);
}, 30_000);

interface AuditEvent {
  readonly auditID: string;
  readonly stage: string;
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username: string };
  readonly userAgent?: string;
  readonly objectRef?: { readonly resource?: string; readonly name?: string; readonly subresource?: string };
}

const writes = new Set(['create', 'update', 'patch', 'delete']);
/** They ask a question and store nothing. */
const reviews = new Set(['subjectaccessreviews', 'tokenreviews', 'selfsubjectaccessreviews', 'selfsubjectreviews']);

const auditEvents = (): readonly AuditEvent[] =>
  readFileSync(cluster().auditLog, 'utf8')
    .split('\n')
    .filter((each) => each !== '')
    .map((each) => JSON.parse(each) as AuditEvent);

/** A command, from the plugin's start to its end. */
async function runAtOnce(): Promise<void> {
  expect(await crashcart(['box', '-n', 'tools', '--', 'true'])).toMatchObject({ code: 0 });
}

/** A person at a shell, for longer than it takes until who is attached is written down. */
async function stayAtShell(): Promise<void> {
  using terminal = crashcartTerminal(['box', '-n', 'tools']);
  terminal.enter('echo "at $((40+2))"');
  await terminal.expect(/at 42/);
  await sleep(12_000);
  terminal.enter('exit');
  expect(await terminal.exit()).toBe(0);
}

/** Of whichever session: its object, its pod, one review, the attach, and its Events: at the start on the pod and at the end on the session, or at the end on both. */
const common = {
  'create debugsessions': 1,
  'get pods': 1,
  'get debugsessions/attach': 1,
  'create subjectaccessreviews': 1,
  'create events': 2,
} as const;

/** While somebody is attached: attach, exec, use of the profile. Every five minutes in a cluster of people, so that a session of a minute sees none. */
const reviewsEach = 3;

/** What each may cost, request by request: one more of any kind fails. The whole of a longer one: 8 requests, 5 of them writes. */
test.each([
  ['is over at once', runAtOnce, 8, { ...common, 'patch debugsessions/status': 1 }],
  ['goes on for a while', stayAtShell, 4, { ...common, 'patch debugsessions/status': 2 }],
] as const)(
  'a session that %s costs the API server no more than is known of it',
  async (_, visit, count, most) => {
    // What is asked once, by whoever comes first, is not a session's.
    await runAtOnce();
    await sleep(2_000);
    const from = auditEvents().length;
    let renewals = 0;
    for (let at = 0; at < count; at += 1) {
      const begun = performance.now();
      await visit();
      renewals += reviewsEach * Math.floor((performance.now() - begun) / reviewEveryMs);
    }
    await eventually(async () => {
      const { items } = await getJson<{ items: DebugSession[] }>(['get', 'dbg', '-n', 'tools']);
      for (const { status } of items)
        expect(status?.conditions).toContainEqual(expect.objectContaining({ type: 'CleanedUp', status: 'True' }));
    }, 20_000);
    await sleep(1_000);
    const ours = auditEvents().slice(from).filter(isOfSessions);
    const byId = new Map(ours.map((each) => [each.auditID, each]));
    const requests = [...byId.values()];
    const stored = requests.filter(
      ({ verb, objectRef }) => writes.has(verb) && !reviews.has(objectRef?.resource ?? ''),
    );
    const kinds = Object.entries(Object.groupBy(requests, whatIs)).map(([what, all]) => [what, all!.length] as const);
    const tally = kinds.map(([what, times]) => `${times} × ${what}`).join('\n');
    console.log(`${count} sessions: ${requests.length} requests, ${stored.length} writes\n${tally}`);
    expect(requests.length, tally).toBeGreaterThanOrEqual(5 * count);
    for (const [what, times] of kinds) {
      const more = what === 'create subjectaccessreviews' ? renewals : 0;
      expect(times, tally).toBeLessThanOrEqual(count * ((most as Readonly<Record<string, number>>)[what] ?? 0) + more);
    }
    expect((requests.length - renewals) / count, tally).toBeLessThanOrEqual(8);
    expect(stored.length / count, tally).toBeLessThanOrEqual(5);
    await kubectl(['delete', 'dbg', '--all', '-n', 'tools', '--timeout=60s'], { timeoutMs: 70_000 });
  },
  120_000,
);

/** Of the plugin and the controller; neither our own kubectl here, nor what they ask whether there are sessions or not. */
function isOfSessions({ user, userAgent, objectRef, requestURI }: AuditEvent): boolean {
  const ours = /crashcart-controller$/.test(user.username) || userAgent === 'kubectl-crashcart';
  const always = ['leases', 'configmaps', 'secrets', 'apiservices', 'namespaces'].includes(objectRef?.resource ?? '');
  return ours && !always && !/[?&]watch=/.test(requestURI) && !requestURI.includes('limit=500');
}

const whatIs = ({ verb, objectRef }: AuditEvent): string =>
  `${verb} ${objectRef?.resource}${objectRef?.subresource ? `/${objectRef.subresource}` : ''}`;
