import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildBundle, programs } from '../../builder/bundle/bundles.ts';
import { shippedProfiles } from '../../src/api/profile-rules.ts';
import type { AgentLink } from '../../src/gateway/agent-link.ts';
import type { DesiredSession } from '../../src/wire/agent-protocol.ts';
import { channels } from '../../src/wire/channel.ts';
import { FrameDecoder } from '../../src/wire/frames.ts';
import { exitOfStatus } from '../../src/wire/status.ts';
import { cgroupProcesses, hierarchies } from '../cluster/cgroup.ts';
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

async function startAgent(): Promise<Agent> {
  const port = await freePort();
  const flags: Readonly<Record<string, string>> = {
    'cri-socket': containerd.socket,
    toolboxes: join(project, 'build/toolbox'),
    enter: join(project, 'build/native/crashcart-enter'),
    state: join(directory, 'state'),
    gateway: 'localhost',
    'tunnel-port': `${gateway.tunnelPort}`,
    'ca-file': join(gateway.directory, 'ca.crt'),
    'token-file': join(directory, 'token'),
    'metrics-port': `${port}`,
  };
  const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const agent = spawn(process.execPath, [join(project, programs.agent.out), ...args], {
    env: { NODE_NAME: 'node-1', PATH: process.env['PATH'] },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  running.add(agent);
  let log = '';
  agent.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const exited = new Promise<number | null>((resolve) => {
    agent.once('exit', (code) => {
      running.delete(agent);
      resolve(code);
    });
  });
  const connected = () => gateway.registry.get('node-1')?.sessions() !== undefined;
  await expect
    .poll(connected, { timeout: 15_000, message: 'the agent dials' })
    .toBe(true)
    .catch((error: unknown) => {
      throw new Error(`the agent did not connect; its log:\n${log}`, { cause: error });
    });
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: response.status, body: await response.text() };
  };
  return { process: agent, link: gateway.registry.get('node-1')!, log: () => log, get, exited };
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

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

test('an agent dials, gets ready, runs what it is told, and takes everything away at SIGTERM', async () => {
  const agent = await startAgent();
  await expect.poll(() => agent.get('/readyz')).toEqual({ status: 200, body: 'ok\n' });
  await agent.link.put(desired('1'), 'audit-7');
  const { exit } = await exitSeenBy(agent.link, desired('1').uid);
  const { body } = await agent.get('/metrics');
  expect(body).toContain('crashcart_agent_sessions{phase="Running"} 1');
  expect(body).toContain('crashcart_agent_kernel_feature{feature="openat2"} 1');
  expect(body).toContain('crashcart_agent_tunnels 1');
  agent.process.kill('SIGTERM');
  expect(await exit).toMatchObject({ code: 137, reason: 'AgentRestarted' });
  expect(await agent.exited).toBe(0);
  expect(sessionCgroups()).toEqual([]);
  expect(agent.log()).toContain('"auditId":"audit-7"');
  expect(agent.log()).not.toContain('"level":"error"');
});

test('an agent that was killed leaves a session that the next one sweeps up before it takes orders', async () => {
  const first = await startAgent();
  await first.link.put(desired('2'));
  const { exit } = await exitSeenBy(first.link, desired('2').uid);
  const cut = expect(exit).rejects.toThrow('Premature close');
  const before = cgroupProcesses(`${containerd.cgroup}/crashcart`);
  expect(before.length).toBeGreaterThan(0);
  first.process.kill('SIGKILL');
  await first.exited;
  await cut;
  await expect.poll(() => gateway.registry.get('node-1')).toBeUndefined();
  expect(sessionCgroups()).not.toEqual([]);
  const second = await startAgent();
  expect(second.link.instance).not.toBe(first.link.instance);
  expect(second.link.sessions()?.size).toBe(0);
  expect(sessionCgroups()).toEqual([]);
  expect(cgroupProcesses(`${containerd.cgroup}/crashcart`)).toEqual([]);
  second.process.kill('SIGTERM');
  expect(await second.exited).toBe(0);
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
