import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { buildBundle, programs } from '../../builder/bundle/bundles.ts';
import { shippedProfiles } from '../../src/api/profile-rules.ts';
import type { AgentLink } from '../../src/gateway/agent-link.ts';
import { capabilityMask } from '../../src/linux/capabilities.ts';
import { assembleFilter } from '../../src/linux/seccomp/filter.ts';
import { runtimeDefault } from '../../src/node-agent/session/seccomp.ts';
import type { DesiredSession } from '../../src/wire/agent-protocol.ts';
import { castCodes, parseEvent } from '../../src/wire/asciicast.ts';
import { channels } from '../../src/wire/channel.ts';
import { encodeFrame, FrameDecoder } from '../../src/wire/frames.ts';
import { encodeProgress, parseResumption } from '../../src/wire/resume.ts';
import { exitOfStatus } from '../../src/wire/status.ts';
import { cgroupProcesses, hierarchies } from '../cluster/cgroup.ts';
import { type AgentProcess, freePort, launchAgent } from '../support/agent-process.ts';
import { compileStatic } from '../support/compile.ts';
import { type Containerd, type RunningContainer, startContainerd } from '../support/containerd/containerd.ts';
import { type Loopback, startLoopback } from '../support/gateway-loopback.ts';

const project = join(import.meta.dirname, '../..');
let containerd: Containerd;
let container: RunningContainer;
let gateway: Loopback;
let directory: string;
const running = new Set<ChildProcess>();

beforeAll(async () => {
  execFileSync('make', ['-C', join(project, 'native')], { stdio: 'ignore' });
  execFileSync(process.execPath, [join(project, 'builder/main.ts'), 'toolbox'], { stdio: 'ignore' });
  // The bundle, not the sources: gRPC and koffi have to live in it.
  await buildBundle(programs.agent);
  directory = mkdtempSync(join(tmpdir(), 'crashcart-agent-'));
  writeFileSync(join(directory, 'token'), 'node-1');
  containerd = await startContainerd();
  container = await containerd.runContainer({ uid: 'target', image: 'distroless' });
  gateway = await startLoopback({ agent: false });
});

afterAll(async () => {
  for (const agent of running) agent.kill('SIGKILL');
  await gateway?.stop();
  await containerd?.[Symbol.asyncDispose]();
  if (directory) rmSync(directory, { recursive: true, force: true });
});

interface Agent {
  readonly process: ChildProcess;
  readonly link: AgentLink;
  readonly log: () => string;
  get(path: string): Promise<{ readonly status: number; readonly body: string }>;
  readonly exited: Promise<number | null>;
}

async function startAgent(under: readonly string[] = []): Promise<Agent> {
  const { process: agent, log, port, exited } = await launch(under);
  const connected = () => gateway.registry.get('node-1')?.sessions() !== undefined;
  await expect
    .poll(connected, { timeout: 15_000, message: 'the agent dials' })
    .toBe(true)
    .catch((error: unknown) => {
      throw new Error(`the agent did not connect; its log:\n${log()}`, { cause: error });
    });
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: response.status, body: await response.text() };
  };
  return { process: agent, link: gateway.registry.get('node-1')!, log, get, exited };
}

async function launch(under: readonly string[] = []): Promise<AgentProcess> {
  const launched = await launchAgent({
    criSocket: containerd.socket,
    state: join(directory, 'state'),
    recordings: join(directory, 'recordings'),
    gateway,
    tokenFile: join(directory, 'token'),
    under,
  });
  running.add(launched.process);
  void launched.exited.then(() => running.delete(launched.process));
  return launched;
}

const desired = (last: string): DesiredSession => ({
  uid: `00000000-0000-4000-9000-00000000000${last}`,
  namespace: 'default',
  name: `session-${last}`,
  pod: { name: 'web-0', uid: 'target' },
  container: { name: 'main', id: container.id },
  toolbox: 'default',
  profile: 'general',
  rules: shippedProfiles.general,
  command: ['sleep', '1000'],
  tty: false,
  stdin: false,
  visibility: 'Session',
  maxDurationMs: 600_000,
  idleTimeoutMs: 600_000,
});

async function exitSeenBy(link: AgentLink, uid: string) {
  const stream = await link.attach(uid, new URLSearchParams('stdout=true&stderr=true'), {});
  const hear = async () => {
    const decoder = new FrameDecoder();
    for await (const chunk of stream) {
      for (const { channel, payload } of decoder.push(chunk as Buffer)) {
        if (channel === channels.status) return exitOfStatus(payload);
      }
    }
    return undefined;
  };
  return { exit: hear() };
}

const sessionCgroups = (): string[] =>
  hierarchies().flatMap((hierarchy) => {
    const place = join(hierarchy, containerd.cgroup, 'crashcart');
    return existsSync(place) ? readdirSync(place).filter((name) => name.startsWith('0000')) : [];
  });

/** Attaches as the plugin does: tells what it has, and stops after `until` bytes or at the end. */
async function take(link: AgentLink, uid: string, from: number, until = Number.POSITIVE_INFINITY) {
  const query = new URLSearchParams(`stdout=true&stderr=true&resume=${from}&client=00000000000000aa`);
  const stream = await link.attach(uid, query, {});
  stream.on('error', () => undefined);
  const decoder = new FrameDecoder();
  const pieces: Buffer[] = [];
  let position = from;
  let exit: ReturnType<typeof exitOfStatus> | undefined;
  const received = async (): Promise<void> => {
    for await (const chunk of stream) {
      for (const { channel, payload } of decoder.push(chunk as Buffer)) {
        if (channel === channels.resume) {
          const told = parseResumption(payload);
          expect(told?.lost).toBeUndefined();
          if (told?.position !== undefined) expect(told.position).toBe(position);
        }
        if (channel === channels.status) exit = exitOfStatus(payload);
        if (channel !== channels.stdout) continue;
        pieces.push(Buffer.from(payload));
        position += payload.length;
        stream.write(encodeFrame(channels.resume, encodeProgress({ position })));
      }
      if (position >= until) return;
    }
  };
  await received().catch(() => undefined);
  return { bytes: Buffer.concat(pieces), position, exit };
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const disconnected = () => expect.poll(() => gateway.registry.get('node-1'), { timeout: 10_000 }).toBeUndefined();
const phaseOf = (link: AgentLink, uid: string) => link.sessions()?.get(uid)?.phase;

async function endOf(agent: Agent): Promise<void> {
  for (const uid of agent.link.sessions()?.keys() ?? []) await agent.link.remove(uid, 'Deleted');
  agent.process.kill('SIGTERM');
  expect(await agent.exited).toBe(0);
  await disconnected();
  expect(sessionCgroups()).toEqual([]);
  expect(cgroupProcesses(`${containerd.cgroup}/crashcart`)).toEqual([]);
}

test('an agent dials, gets ready, runs what it is told, and its sessions go on after its SIGTERM', async () => {
  const agent = await startAgent();
  await expect.poll(() => agent.get('/readyz')).toEqual({ status: 200, body: 'ok\n' });
  await agent.link.put(desired('1'), 'audit-7');
  const { exit } = await exitSeenBy(agent.link, desired('1').uid);
  const cut = expect(exit).rejects.toThrow('Premature close');
  const { body } = await agent.get('/metrics');
  expect(body).toContain('crashcart_agent_sessions{phase="Running"} 1');
  expect(body).toContain('crashcart_agent_kernel_feature{feature="openat2"} 1');
  expect(body).toContain('crashcart_agent_tunnels 1');
  agent.process.kill('SIGTERM');
  expect(await agent.exited).toBe(0);
  await cut;
  await disconnected();
  expect(agent.log()).toContain('"auditId":"audit-7"');
  expect(agent.log()).not.toContain('"level":"error"');
  const next = await startAgent();
  expect(next.link.sessions()?.get(desired('1').uid)).toMatchObject({ phase: 'Running' });
  await endOf(next);
});

test('fifty megabytes of output arrive whole over three agents that are killed while it flows', async () => {
  const command = ['sh', '-c', 'seq 1 6600000; exit 7'];
  let agent = await startAgent();
  await agent.link.put({ ...desired('2'), command });
  const parts: Buffer[] = [];
  let position = 0;
  for (const until of [9_000_000, 23_000_000, 37_000_000]) {
    const { bytes, position: reached } = await take(agent.link, desired('2').uid, position, until);
    parts.push(bytes);
    position = reached;
    expect(position).toBeGreaterThanOrEqual(until);
    agent.process.kill('SIGKILL');
    await agent.exited;
    await disconnected();
    agent = await startAgent();
    expect(phaseOf(agent.link, desired('2').uid)).toBe('Running');
  }
  const { bytes, exit } = await take(agent.link, desired('2').uid, position);
  parts.push(bytes);
  expect(exit).toMatchObject({ code: 7 });
  const expected = execFileSync('seq', ['1', '6600000'], { maxBuffer: 100_000_000 });
  expect(expected.length).toBeGreaterThan(50_000_000);
  expect(sha256(Buffer.concat(parts))).toBe(sha256(expected));
  await endOf(agent);
}, 90_000);

test('a recording goes on over agents that are killed while output flows, with every byte once', async () => {
  const { uid } = desired('7');
  const command = ['sh', '-c', 'for part in 1 2 3; do seq 1 400000; echo err >&2; sleep 1; done; exit 6'];
  let agent = await startAgent();
  await agent.link.put({ ...desired('7'), command, recording: { failure: 'End' } });
  const file = join(directory, 'recordings', `${uid}.cast`);
  const length = () => (existsSync(file) ? statSync(file).size : 0);
  // Somebody who reads: without a client the output is held a while for those who come back.
  const readAlong = async (link: AgentLink) => {
    const stream = await link.attach(uid, new URLSearchParams('stdout=true'), {});
    stream.on('error', () => undefined);
    stream.resume();
  };
  let before = 0;
  for (let kill = 0; kill < 3; kill += 1) {
    const { process: killed, exited, link } = agent;
    await readAlong(link);
    await expect.poll(length, { timeout: 30_000 }).toBeGreaterThan(before + 1_000_000);
    killed.kill('SIGKILL');
    await exited;
    before = length();
    await disconnected();
    agent = await startAgent();
    const next = agent.link;
    expect(phaseOf(next, uid)).toBe('Running');
    await expect.poll(() => next.sessions()?.get(uid)?.recording?.state, { timeout: 20_000 }).toBe('Recording');
  }
  const { link } = agent;
  await readAlong(link);
  await expect.poll(() => link.sessions()?.get(uid)?.recording?.state, { timeout: 60_000 }).toBe('Complete');
  const observed = link.sessions()?.get(uid);
  expect(observed).toMatchObject({ exit: { code: 6, reason: 'Completed' }, recording: { bytes: length() } });
  const bytes = readFileSync(file);
  expect(observed?.recording?.sha256).toBe(sha256(bytes));
  const [, ...lines] = bytes.toString().trimEnd().split('\n');
  const events = lines.map((line) => parseEvent(line));
  const times = events.map(({ seconds }) => seconds);
  expect(times.toSorted((a, b) => a - b)).toEqual(times);
  const shown = { 1: '', 2: '' };
  let stream: 1 | 2 = 1;
  for (const { code, data } of events) {
    if (code === castCodes.stream) stream = data === '2' ? 2 : 1;
    if (code === castCodes.output) shown[stream] += data;
  }
  const part = execFileSync('seq', ['1', '400000'], { maxBuffer: 10_000_000 }).toString();
  expect(shown[2]).toBe('err\r\n'.repeat(3));
  expect(sha256(Buffer.from(shown[1].replaceAll('\r\n', '\n')))).toBe(sha256(Buffer.from(part.repeat(3))));
  expect(events.filter(({ data }) => data === 'the node agent was restarted')).toHaveLength(3);
  await endOf(agent);
}, 120_000);

test('a command that ends while there is no agent keeps its exit code and its output', async () => {
  const first = await startAgent();
  await first.link.put({ ...desired('3'), command: ['sh', '-c', 'sleep 1; echo done; exit 9'] });
  await expect.poll(() => phaseOf(first.link, desired('3').uid)).toBe('Running');
  first.process.kill('SIGKILL');
  await first.exited;
  await disconnected();
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  const second = await startAgent();
  const { bytes, exit } = await take(second.link, desired('3').uid, 0);
  expect(bytes.toString()).toBe('done\n');
  expect(exit).toMatchObject({ code: 9 });
  expect(second.link.sessions()?.get(desired('3').uid)).toMatchObject({ exit: { code: 9, reason: 'Completed' } });
  await endOf(second);
});

test('what an agent left without a supervisor is swept, while a session that has one is taken over', async () => {
  const first = await startAgent();
  await first.link.put(desired('4'));
  await first.link.put({ ...desired('5'), visibility: 'Container' });
  for (const last of ['4', '5']) await expect.poll(() => phaseOf(first.link, desired(last).uid)).toBe('Running');
  first.process.kill('SIGKILL');
  await first.exited;
  await disconnected();
  const supervisors = cgroupProcesses(`${containerd.cgroup}/crashcart/_supervisors`);
  expect(supervisors).toHaveLength(2);
  process.kill(supervisors[0]!, 'SIGKILL');
  const second = await startAgent();
  await expect.poll(() => new Set(sessionCgroups()).size, { timeout: 10_000 }).toBe(1);
  expect(second.link.sessions()?.size).toBe(1);
  await endOf(second);
  expect(readdirSync(join(directory, 'state/placements'))).toEqual([]);
});

test('beside a toolbox that an earlier agent has put into the container, sessions of either visibility start', async () => {
  const first = await startAgent();
  await first.link.put({ ...desired('1'), visibility: 'Container' });
  await expect.poll(() => phaseOf(first.link, desired('1').uid)).toBe('Running');
  first.process.kill('SIGKILL');
  await first.exited;
  await disconnected();
  const second = await startAgent();
  const command = ['sh', '-c', 'exit 5'];
  for (const [last, visibility] of [
    ['2', 'Session'],
    ['9', 'Container'],
  ] as const) {
    await second.link.put({ ...desired(last), visibility, command });
    expect((await take(second.link, desired(last).uid, 0)).exit).toMatchObject({ code: 5 });
  }
  await endOf(second);
  expect(readdirSync(join(directory, 'state/placements'))).toEqual([]);
});

test('two agents at once: the newer stands by, and has the sessions as soon as the older is gone', async () => {
  const older = await startAgent();
  await older.link.put(desired('6'));
  await expect.poll(() => phaseOf(older.link, desired('6').uid)).toBe('Running');
  const { instance } = older.link;
  const newer = await launch();
  await expect.poll(() => newer.log(), { timeout: 10_000 }).toContain('standing by');
  expect(gateway.registry.get('node-1')?.instance).toBe(instance);
  older.process.kill('SIGKILL');
  await expect.poll(() => gateway.registry.get('node-1')?.instance, { timeout: 10_000 }).not.toBe(instance);
  await expect.poll(() => gateway.registry.get('node-1')?.sessions(), { timeout: 10_000 }).toBeDefined();
  const link = gateway.registry.get('node-1')!;
  expect(phaseOf(link, desired('6').uid)).toBe('Running');
  await endOf({ ...newer, link, get: older.get });
});

test('an agent works under the seccomp filter that the runtime gives a container with its capabilities', async () => {
  const values = readFileSync(join(project, 'charts/crashcart/values.yaml'), 'utf8');
  const { agent: chosen } = parseYaml(values) as { agent: { capabilities: string[] } };
  const filter = runtimeDefault(capabilityMask(chosen.capabilities.map((name) => `CAP_${name}`)));
  const file = join(directory, 'filter');
  writeFileSync(file, assembleFilter(filter, process.arch === 'arm64' ? 'arm64' : 'x64'));
  const under = [compileStatic(join(import.meta.dirname, 'filtered.c')), file];
  const first = await startAgent(under);
  expect(readFileSync(`/proc/${first.process.pid}/status`, 'utf8')).toMatch(/^Seccomp:\s+2$/m);
  await first.link.put({ ...desired('7'), tty: true });
  await expect.poll(() => phaseOf(first.link, desired('7').uid)).toBe('Running');
  first.process.kill('SIGKILL');
  await first.exited;
  await disconnected();
  const second = await startAgent(under);
  expect(phaseOf(second.link, desired('7').uid)).toBe('Running');
  const script = 'mount -t tmpfs none /mnt 2>/dev/null || mount -t tmpfs none /tmp; strace -o /dev/null true && exit 6';
  const command = ['sh', '-c', `mkdir -p /tmp /mnt; ${script}`];
  await second.link.put({ ...desired('8'), profile: 'sysadmin', rules: shippedProfiles.sysadmin, command });
  expect((await take(second.link, desired('8').uid, 0)).exit).toMatchObject({ code: 6 });
  await endOf(second);
});

test('an agent without its runtime says so, is alive but not ready, and stops when told', async () => {
  const port = await freePort();
  const flags = [
    '--cri-socket=/nowhere.sock',
    `--toolboxes=${directory}`,
    `--metrics-port=${port}`,
    `--state=${directory}/s`,
  ];
  const enter = `--enter=${join(project, 'build/native/crashcart-enter')}`;
  const agent = spawn(process.execPath, [join(project, programs.agent.out), enter, ...flags], {
    env: { NODE_NAME: 'node-1', PATH: process.env['PATH'] },
    stdio: 'ignore',
  });
  running.add(agent);
  const exited = new Promise((resolve) => agent.once('exit', resolve));
  const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined);
  await expect.poll(async () => (await get('/healthz'))?.status, { timeout: 10_000 }).toBe(200);
  const ready = await get('/readyz');
  expect(ready?.status).toBe(503);
  const reasons = await ready?.text();
  expect(reasons).toContain('runtime: The node');
  expect(reasons).toContain('toolboxes: none');
  expect(reasons).toContain('tunnel: not connected');
  agent.kill('SIGTERM');
  expect(await exited).toBe(0);
});
