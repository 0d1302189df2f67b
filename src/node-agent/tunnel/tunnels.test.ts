import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { eventually } from '../../../test/support/eventually.ts';
import { createTestCa, type TestCa } from '../../../test/support/pki.ts';
import { SessionsDouble } from '../../../test/support/session-double.ts';
import { silentLogger } from '../../base/log.ts';
import { encodeFrame } from '../../wire/frames.ts';
import { connectTunnel } from '../../wire/tunnel.ts';
import { runTunnels } from './tunnels.ts';

const serverName = 'crashcart-tunnel.crashcart-system.svc';
vi.setConfig({ testTimeout: 30_000 });

let directory: string;
let ca: TestCa;
let stack: AsyncDisposableStack;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  directory = await mkdtemp(join(tmpdir(), 'crashcart-tunnels-'));
  stack.defer(() => rm(directory, { recursive: true }));
  ca = await createTestCa('serving');
  await writeFile(join(directory, 'ca.crt'), ca.cert);
  await writeFile(join(directory, 'token'), 'token-1\n');
});
afterEach(() => stack.disposeAsync());

/** A gateway that only accepts; its requests are the test's. */
async function gateway(host: string, port = 0, name = serverName, by: TestCa = ca) {
  const tunnels: http2.ClientHttp2Session[] = [];
  const server = tls.createServer({ ...(await by.issue('gateway', [name])), ALPNProtocols: ['h2'] }, (socket) => {
    const session = connectTunnel(socket);
    session.on('error', () => {});
    tunnels.push(session);
  });
  server.on('tlsClientError', () => {});
  server.listen(port, host);
  await once(server, 'listening');
  stack.defer(() => {
    for (const session of tunnels) session.destroy();
    server.close();
  });
  return { tunnels, live: () => tunnels.filter(({ closed }) => !closed), port: (server.address() as AddressInfo).port };
}

function agent(port: number, addresses: () => readonly string[]) {
  const sessions = new SessionsDouble();
  const stopped = new AbortController();
  const counts: number[] = [];
  const running = runTunnels({
    sessions,
    gateway: 'gateway',
    port,
    serverName,
    caFile: join(directory, 'ca.crt'),
    tokenFile: join(directory, 'token'),
    version: '0.1.0',
    instance: 'i-1',
    log: silentLogger,
    signal: stopped.signal,
    onConnected: (count) => counts.push(count),
    resolve: async () => addresses(),
    resolveEveryMs: 50,
  });
  const stop = async (): Promise<void> => {
    stopped.abort();
    await running;
  };
  stack.defer(stop);
  return { sessions, stop, counts };
}

interface Answer {
  readonly code: number;
  readonly body: string;
}

function ask(session: http2.ClientHttp2Session, method: string, path: string, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':method': method, ':path': path }, { endStream: body === undefined });
    if (body !== undefined) stream.end(body);
    let code = 0;
    const chunks: Buffer[] = [];
    stream.once('response', (headers) => {
      code = headers[':status'] ?? 0;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.once('end', () => resolve({ code, body: Buffer.concat(chunks).toString('utf8') }));
    stream.once('error', reject);
  });
}

const first = (live: () => readonly http2.ClientHttp2Session[]) =>
  eventually(
    () => {
      const [session] = live();
      if (!session) throw new Error('no tunnel yet');
      return session;
    },
    5_000,
    5,
  );

test('every replica gets a tunnel, new ones too, and a lost one comes back', async () => {
  const one = await gateway('127.0.0.1');
  const two = await gateway('127.0.0.2', one.port);
  let addresses = ['127.0.0.1'];
  agent(one.port, () => addresses);
  await eventually(() => expect([one.live().length, two.live().length]).toEqual([1, 0]), 5_000, 5);
  addresses = ['127.0.0.1', '127.0.0.2'];
  await eventually(() => expect([one.live().length, two.live().length]).toEqual([1, 1]), 5_000, 5);
  one.live()[0]?.destroy();
  await eventually(() => expect([one.live().length, two.live().length]).toEqual([1, 1]), 5_000, 5);
});

test('an address that is gone keeps its tunnel while it lives, and is not dialled again', async () => {
  const one = await gateway('127.0.0.1');
  let addresses = ['127.0.0.1'];
  agent(one.port, () => addresses);
  const session = await first(one.live);
  addresses = [];
  await new Promise((resolve) => setTimeout(resolve, 150));
  expect(session.closed).toBe(false);
  session.destroy();
  await new Promise((resolve) => setTimeout(resolve, 800));
  expect(one.tunnels).toHaveLength(1);
});

test('the token is read anew for each question', async () => {
  const one = await gateway('127.0.0.1');
  agent(one.port, () => ['127.0.0.1']);
  const session = await first(one.live);
  expect(JSON.parse((await ask(session, 'GET', '/v1/identity')).body)).toEqual({
    token: 'token-1',
    version: '0.1.0',
    instance: 'i-1',
  });
  await writeFile(join(directory, 'token'), 'token-2');
  expect(JSON.parse((await ask(session, 'GET', '/v1/identity')).body)).toMatchObject({ token: 'token-2' });
});

test('a gateway whose certificate has another name, or is of another CA, is never served', async () => {
  const misnamed = await gateway('127.0.0.1', 0, 'crashcart-tunnel.elsewhere.svc');
  const foreign = await gateway('127.0.0.2', misnamed.port, serverName, await createTestCa('serving'));
  const { counts } = agent(misnamed.port, () => ['127.0.0.1', '127.0.0.2']);
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(counts).toEqual([]);
  expect([misnamed.live(), foreign.live()]).toEqual([[], []]);
});

test('a renewed CA is found at the next dial', async () => {
  const newCa = await createTestCa('serving-2');
  const one = await gateway('127.0.0.1', 0, serverName, newCa);
  const { counts } = agent(one.port, () => ['127.0.0.1']);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(counts).toEqual([]);
  await writeFile(join(directory, 'ca.crt'), `${ca.cert}\n${newCa.cert}`);
  await eventually(() => expect(counts).toEqual([1]), 8_000, 5);
});

test('the agent stops at once, and its tunnels with it', async () => {
  const one = await gateway('127.0.0.1');
  const { stop, counts } = agent(one.port, () => ['127.0.0.1']);
  await first(one.live);
  await stop();
  expect(counts).toEqual([1, 0]);
  await eventually(() => expect(one.live()).toEqual([]), 2_000, 5);
});

test.each<[string, string, string | undefined, number, string]>([
  ['GET', '/', undefined, 422, 'the agent has no GET /'],
  ['GET', '/v1/sessions/u-1', undefined, 422, 'the agent has no GET'],
  ['POST', '/v1/identity', '', 422, 'the agent has no POST'],
  ['PUT', '/v1/sessions/..%2f..', '{}', 422, 'the agent has no PUT'],
  ['PUT', '/v1/sessions/u-1', 'not json', 422, 'a body is not JSON'],
  ['PUT', '/v1/sessions/u-1', '{"uid":"u-1"}', 422, 'session.pod must be an object'],
  ['PUT', '/v1/sessions/u-1', 'x'.repeat(300_000), 422, 'a body is longer than'],
  ['DELETE', '/v1/sessions/u-1?reason=Boredom', undefined, 422, 'reason must be one of'],
  ['DELETE', '/v1/sessions/u-1', undefined, 404, 'there is no session u-1'],
  ['POST', '/v1/sessions/u-1/attach?tty=maybe', '', 422, 'tty must be true or false'],
  ['POST', '/v1/sessions/u-1/attach', '', 404, 'there is no session u-1'],
])('%s %s is refused as JSON', async (method, path, body, code, message) => {
  const one = await gateway('127.0.0.1');
  agent(one.port, () => ['127.0.0.1']);
  const answer = await ask(await first(one.live), method, path, body);
  expect(answer.code).toBe(code);
  expect(JSON.parse(answer.body).message).toContain(message);
});

test('a gateway that sends what is no frame ends its attach, not the session', async () => {
  const one = await gateway('127.0.0.1');
  const { sessions } = agent(one.port, () => ['127.0.0.1']);
  sessions.sessions.set('u-1', {
    uid: 'u-1',
    namespace: 'n',
    name: 's',
    phase: 'Running',
    attached: 0,
    cleanedUp: false,
  });
  const session = await first(one.live);
  const stream = session.request({ ':method': 'POST', ':path': '/v1/sessions/u-1/attach' }, { endStream: false });
  stream.on('error', () => {});
  await once(stream, 'response');
  stream.write(Buffer.alloc(16, 0xff));
  await new Promise((resolve) => stream.once('close', resolve));
  await eventually(() => expect(sessions.attachments[0]?.closed).toBe(true), 2_000, 5);
  expect((await ask(session, 'GET', '/v1/identity')).code).toBe(200);
});

test('input that the session does not take waits, in order, without being lost', async () => {
  const one = await gateway('127.0.0.1');
  const { sessions } = agent(one.port, () => ['127.0.0.1']);
  sessions.sessions.set('u-1', {
    uid: 'u-1',
    namespace: 'n',
    name: 's',
    phase: 'Running',
    attached: 0,
    cleanedUp: false,
  });
  sessions.onAttach = (attachment) => {
    attachment.full = true;
  };
  const session = await first(one.live);
  const stream = session.request({ ':method': 'POST', ':path': '/v1/sessions/u-1/attach' }, { endStream: false });
  stream.on('error', () => {});
  await once(stream, 'response');
  for (const word of ['a', 'b', 'c']) stream.write(encodeFrame(0, Buffer.from(word)));
  const attachment = await eventually(() => sessions.attachments[0] ?? Promise.reject(new Error('not yet')), 2_000, 5);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(attachment.received).toEqual([]);
  attachment.drain();
  await eventually(
    () => expect(attachment.received.map(({ payload }) => String(payload)).join('')).toBe('abc'),
    2_000,
    5,
  );
  stream.close();
});
