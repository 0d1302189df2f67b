import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { DebugSession } from '../../src/api/debug-session.ts';
import { cluster, crashcart, getJson, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { pidsOf, residentBytes, writtenBytes } from '../support/processes.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

// What one session may cost: bytes on the way that nobody takes, and requests to the API server.

nothingLeftAfterEach();

const mib = 1024 * 1024;
const line = '0123456789abcdef0123456789abcdef\n';
const env = (): NodeJS.ProcessEnv => ({ ...process.env, KUBECONFIG: cluster().kubeconfig });

const processes = (plugin: number) => ({
  plugin: [plugin],
  gateways: pidsOf(/^\/usr\/bin\/node \/app\/controller\.cjs/),
  agents: pidsOf(/^\/usr\/bin\/node \/app\/agent\.cjs/),
});

const memory = (plugin: number): Record<string, number> =>
  Object.fromEntries(
    Object.entries(processes(plugin)).map(([name, pids]) => [
      name,
      pids.reduce((sum, pid) => sum + residentBytes(pid), 0),
    ]),
  );

test('a reader that does not read: the command stops after a fixed number of bytes, and no process on the way grows', async () => {
  const child = spawn(cluster().tools.crashcart, ['box', '-n', 'tools', '--', 'yes', line.trim()], {
    env: env(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  try {
    const yes = await eventually(() => {
      const [pid, ...more] = pidsOf(/^(\S*\/)?(busybox )?yes 0123456789abcdef0123456789abcdef $/);
      if (!pid || more.length > 0) throw new Error('the command does not run');
      return pid;
    }, 30_000);
    expect(processes(child.pid!).gateways.length).toBeGreaterThan(0);
    expect(processes(child.pid!).agents.length).toBeGreaterThan(0);
    // Nobody has read a byte of the pipe. It holds as soon as every buffer on the way is full.
    const held = await eventually(async () => {
      const before = writtenBytes(yes);
      await sleep(1_500);
      expect(writtenBytes(yes)).toBe(before);
      return before;
    }, 30_000);
    expect(held).toBeGreaterThan(0);
    expect(held).toBeLessThan(16 * mib);
    const before = memory(child.pid!);
    await sleep(10_000);
    expect(writtenBytes(yes)).toBe(held);
    const after = memory(child.pid!);
    for (const [name, bytes] of Object.entries(after)) expect(bytes - (before[name] ?? 0), name).toBeLessThan(8 * mib);
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
  }
}, 120_000);

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

/** A create; the pod, one review, the attach; two statuses and an Event on session and pod. Of a longer one the start is told, too: a status and two Events. */
test.each([
  ['is over at once', 'true', { requests: 8, writes: 5 }],
  ['goes on for a while', 'sleep 2', { requests: 11, writes: 8 }],
])(
  'a session that %s costs the API server no more than is known of it',
  async (_, command, most) => {
    const count = 8;
    const visit = ['box', '-n', 'tools', '--', ...command.split(' ')];
    // What is asked once, by whoever comes first, is not a session's.
    await crashcart(visit);
    await sleep(2_000);
    const from = auditEvents().length;
    for (let at = 0; at < count; at += 1) expect(await crashcart(visit)).toMatchObject({ code: 0 });
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
    const tally = Object.entries(Object.groupBy(requests, whatIs)).map(([what, all]) => `${all?.length} × ${what}`);
    expect(requests.length, tally.join('\n')).toBeGreaterThanOrEqual(5 * count);
    expect(requests.length / count, tally.join('\n')).toBeLessThanOrEqual(most.requests);
    expect(stored.length / count, tally.join('\n')).toBeLessThanOrEqual(most.writes);
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
