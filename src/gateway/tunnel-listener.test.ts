import { type EventEmitter, once } from 'node:events';
import type http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { afterEach, expect, test, vi } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { agentReview, type Loopback, startLoopback, tunnelName } from '../../test/support/gateway-loopback.ts';
import { SessionsDouble } from '../../test/support/session-double.ts';
import { shippedProfiles } from '../api/profile-rules.ts';
import { reasons } from '../base/errors.ts';
import type { DesiredSession, ObservedSession } from '../wire/agent-protocol.ts';
import { serveTunnel } from '../wire/tunnel.ts';
import type { AgentsChange } from './agents.ts';

vi.setConfig({ testTimeout: 30_000 });

let loopback: Loopback;
afterEach(() => loopback.stop());

const desired = (uid: string): DesiredSession => ({
  uid,
  namespace: 'shop',
  name: 's',
  pod: { name: 'web-0', uid: 'pod-uid' },
  container: { name: 'web', id: 'containerd://abc' },
  toolbox: 'default',
  profile: 'general',
  rules: shippedProfiles.general,
  tty: true,
  stdin: true,
  visibility: 'Session',
  maxDurationMs: 60_000,
  idleTimeoutMs: 60_000,
});

const link = () => {
  const found = loopback.registry.get('node-1');
  if (found?.sessions() === undefined) throw new Error('node-1 is not connected');
  return found;
};

/** A tunnel of whoever answers as `answer` says. */
async function stranger(answer: (stream: http2.ServerHttp2Stream, path: string) => void) {
  const socket = tls.connect({
    port: loopback.tunnelPort,
    host: '127.0.0.1',
    ca: loopback.servingCa.cert,
    servername: tunnelName,
    ALPNProtocols: ['h2'],
  });
  await once(socket, 'secureConnect');
  const session = serveTunnel(socket, (stream, headers) => {
    stream.on('error', () => {});
    answer(stream, headers[':path'] ?? '');
  });
  session.on('error', () => {});
  return session;
}

/** Not `once`, which rejects when an 'error' comes first: that it closes is what counts. */
const closed = (emitter: EventEmitter): Promise<void> =>
  new Promise((resolve) => emitter.once('close', () => resolve()));

const identity = (token: string) => JSON.stringify({ token, version: '0.1.0', instance: 'x' });

test('sessions are put and removed through the tunnel, and the events keep the view of them', async () => {
  loopback = await startLoopback();
  const changes: AgentsChange[] = [];
  loopback.registry.onChange((change) => changes.push(change));
  expect(await link().put(desired('u-1'), 'audit-7')).toMatchObject({ uid: 'u-1', phase: 'Running' });
  expect(loopback.agent.contexts).toEqual([{ auditId: 'audit-7' }]);
  await eventually(() => expect(link().sessions()?.get('u-1')?.phase).toBe('Running'), 2_000, 5);
  const removed: ObservedSession = await link().remove('u-1', reasons.MaxDurationExceeded);
  expect(removed).toMatchObject({
    phase: 'Finished',
    cleanedUp: true,
    exit: { code: 137, reason: 'MaxDurationExceeded' },
  });
  await eventually(() => expect(link().sessions()?.size).toBe(0), 2_000, 5);
  expect(changes.map(({ type, event }) => event?.type ?? type)).toEqual(['changed', 'forgotten']);
});

test('what the agent refuses comes back with its reason', async () => {
  loopback = await startLoopback();
  await expect(link().remove('nobody', reasons.Deleted)).rejects.toMatchObject({ reason: 'NotFound' });
  await expect(link().put({ ...desired('u'), toolbox: 7 as never })).rejects.toMatchObject({
    reason: 'Invalid',
    message: 'session.toolbox must be a text of at most 63 characters',
  });
  const command = Array.from({ length: 20 }, () => 'x'.repeat(20_000));
  await expect(link().put({ ...desired('u'), command })).rejects.toMatchObject({ reason: 'Invalid' });
});

test('a second tunnel of the same node takes over, and the first one is closed', async () => {
  loopback = await startLoopback();
  const changes: AgentsChange[] = [];
  loopback.registry.onChange((change) => changes.push(change));
  const before = link();
  const newer = await stranger((stream, path) => {
    stream.respond({ ':status': 200 });
    if (path === '/v1/identity') stream.end(identity('node-1'));
    else stream.write('{"type":"list","sessions":[]}\n');
  });
  await eventually(() => expect(link()).not.toBe(before), 2_000, 5);
  await expect(before.remove('u', reasons.Deleted)).rejects.toMatchObject({ reason: 'AgentLost' });
  expect(changes.map(({ type }) => type)).not.toContain('disconnected');
  newer.destroy();
});

test('an agent that goes is told as disconnected, and comes back by itself', async () => {
  loopback = await startLoopback({ agent: false });
  const changes: string[] = [];
  loopback.registry.onChange(({ type, node }) => changes.push(`${type} ${node}`));
  const agent = await loopback.startAgent('node-1');
  await eventually(link, 5_000, 5);
  await agent.stop();
  await eventually(() => expect(loopback.registry.nodes()).toEqual([]), 2_000, 5);
  await loopback.startAgent('node-1', new SessionsDouble(), 'instance-2');
  await eventually(() => expect(link().instance).toBe('instance-2'), 5_000, 5);
  expect(changes).toEqual([
    'connected node-1',
    'event node-1',
    'disconnected node-1',
    'connected node-1',
    'event node-1',
  ]);
});

test.each<[string, Partial<ReturnType<typeof agentReview>>]>([
  ['that the API server refuses', { authenticated: false, error: 'token expired' }],
  ['of another audience', { audiences: ['https://kubernetes.default.svc'] }],
  [
    'of another service account',
    { user: { ...agentReview('node-1').user, username: 'system:serviceaccount:shop:default' } },
  ],
  ['without a node', { user: { username: agentReview('x').user?.username ?? '' } }],
])('a token %s makes nobody an agent', async (_title, review) => {
  loopback = await startLoopback({ agent: false });
  loopback.reviews.token = (token) => ({ ...agentReview(token), ...review });
  const session = await stranger((stream) => {
    stream.respond({ ':status': 200 });
    stream.end(identity('node-1'));
  });
  await closed(session);
  expect(loopback.registry.nodes()).toEqual([]);
});

test.each<[string, (stream: http2.ServerHttp2Stream, path: string) => void]>([
  ['an event that is none', (stream) => stream.write('{"type":"surprise"}\n')],
  ['a second list', (stream) => stream.write('{"type":"list","sessions":[]}\n{"type":"list","sessions":[]}\n')],
  ['a change before the list', (stream) => stream.write('{"type":"forgotten","uid":"u"}\n')],
  ['a line without an end', (stream) => stream.write(Buffer.alloc(5 * 1024 * 1024, 0x20))],
])('an agent that sends %s is cut off', async (_title, send) => {
  loopback = await startLoopback({ agent: false });
  const session = await stranger((stream, path) => {
    stream.respond({ ':status': 200 });
    if (path === '/v1/identity') stream.end(identity('node-1'));
    else send(stream, path);
  });
  await closed(session);
  expect(loopback.registry.nodes()).toEqual([]);
});

test('a token that is revoked later ends the tunnel; an API server that is away does not', async () => {
  loopback = await startLoopback({ tunnel: { reviewEveryMs: 40 } });
  const before = link();
  loopback.reviews.token = () => {
    throw new Error('connection refused');
  };
  await new Promise((resolve) => setTimeout(resolve, 150));
  expect(link()).toBe(before);
  loopback.reviews.token = () => ({ authenticated: false });
  await eventually(() => expect(loopback.registry.nodes()).toEqual([]), 3_000, 5);
});

test('strangers hold few places, and not for long', async () => {
  loopback = await startLoopback({ agent: false, tunnel: { authenticateMs: 1_500, maxUnauthenticated: 3 } });
  const sockets = Array.from({ length: 6 }, () => net.connect(loopback.tunnelPort, '127.0.0.1'));
  const closedAt = sockets.map(async (socket) => {
    socket.on('error', () => {});
    const startedAt = Date.now();
    await closed(socket);
    return Date.now() - startedAt;
  });
  const times = await Promise.all(closedAt);
  expect(times.filter((ms) => ms < 1_000)).toHaveLength(3);
  expect(times.filter((ms) => ms >= 1_000 && ms < 4_000)).toHaveLength(3);
  await loopback.startAgent('node-1');
  await eventually(link, 5_000, 5);
});

test('a tunnel whose agent no longer answers pings is given up', async () => {
  loopback = await startLoopback({ agent: false, keepAlive: { everyMs: 100, deadAfterMs: 600 } });
  const relay = await startRelay(loopback.tunnelPort);
  const socket = tls.connect({
    port: relay.port,
    host: '127.0.0.1',
    ca: loopback.servingCa.cert,
    servername: tunnelName,
    ALPNProtocols: ['h2'],
  });
  await once(socket, 'secureConnect');
  const session = serveTunnel(socket, (stream, headers) => {
    stream.on('error', () => {});
    stream.respond({ ':status': 200 });
    if (headers[':path'] === '/v1/identity') stream.end(identity('node-1'));
    else stream.write('{"type":"list","sessions":[]}\n');
  });
  session.on('error', () => {});
  await eventually(link, 2_000, 5);
  relay.swallow();
  await eventually(() => expect(loopback.registry.nodes()).toEqual([]), 3_000, 10);
  session.destroy();
  relay.close();
});

test('only HTTP/2 is spoken on the tunnel port', async () => {
  loopback = await startLoopback({ agent: false });
  const socket = tls.connect({
    port: loopback.tunnelPort,
    host: '127.0.0.1',
    ca: loopback.servingCa.cert,
    servername: tunnelName,
    ALPNProtocols: ['http/1.1'],
  });
  socket.on('error', () => {});
  await closed(socket);
  expect(socket.alpnProtocol).not.toBe('h2');
});

/** Carries bytes until `swallow`: then both ends stay open and nothing arrives, as when packets are dropped. */
async function startRelay(target: number) {
  let swallowing = false;
  const sockets: net.Socket[] = [];
  const server = net.createServer((near) => {
    const far = net.connect(target, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.push(from);
      from.on('error', () => {});
      from.on('data', (chunk) => swallowing || to.write(chunk));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as net.AddressInfo).port,
    swallow: () => {
      swallowing = true;
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
