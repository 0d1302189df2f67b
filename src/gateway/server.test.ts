import { once } from 'node:events';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { afterEach, expect, test, vi } from 'vitest';
import {
  debugSession,
  type Loopback,
  refusalOf,
  requestHeader,
  runSession,
  startLoopback,
} from '../../test/support/gateway-loopback.ts';
import { createTestCa, type Leaf } from '../../test/support/pki.ts';
import { silentLogger } from '../base/log.ts';
import { GatewayServer } from './server.ts';

vi.setConfig({ testTimeout: 30_000 });

let loopback: Loopback;
afterEach(() => loopback?.stop());

interface Answer {
  readonly code: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

function get(port: number, ca: string, path: string, options: https.RequestOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = https.request({ host: 'localhost', port, path, ca, agent: false, ...options }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('end', () => {
        resolve({
          code: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString('utf8'),
        });
      });
    });
    request.once('error', reject);
    request.end();
  });
}

const ask = (path: string, options?: https.RequestOptions) =>
  get(loopback.port, loopback.servingCa.cert, path, options);

test('without a client certificate nobody is believed, whatever the headers say', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  const headers = { 'X-Remote-User': 'admin', 'X-Remote-Group': 'system:masters' };
  const { code, body } = await refusalOf(loopback.connect('s', { client: null, headers }));
  expect(code).toBe(401);
  expect(body).toMatchObject({
    kind: 'Status',
    reason: 'Unauthorized',
    message: 'only the API server may ask here: use kubectl',
  });
  expect(loopback.reviews.asked).toEqual([]);
  expect(loopback.agent.attachments).toEqual([]);
});

test.each<[string, (good: Loopback) => Promise<Leaf>]>([
  ['of another CA with the right name', async () => (await createTestCa('front-proxy')).issue('front-proxy-client')],
  ['of the right CA with another name', ({ proxyCa }) => proxyCa.issue('somebody-else')],
  ['of the serving CA with the right name', ({ servingCa }) => servingCa.issue('front-proxy-client')],
])('a certificate %s is not the front proxy', async (_title, issue) => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  expect((await refusalOf(loopback.connect('s', { client: await issue(loopback) }))).code).toBe(401);
});

test('plain requests with forged headers are refused like upgrades', async () => {
  loopback = await startLoopback({ agent: false });
  const path = '/apis/subresources.crashcart.dev/v1alpha1/namespaces/shop/debugsessions/s/attach';
  const headers = { 'X-Remote-User': 'admin' };
  expect((await ask(path, { headers })).code).toBe(401);
  expect((await ask(path, { headers, method: 'POST' })).code).toBe(401);
  expect((await ask('/metrics', { headers })).code).toBe(401);
});

test('the front proxy itself gets a sentence where nothing is to be had without an upgrade', async () => {
  loopback = await startLoopback({ agent: false });
  const options = { headers: { 'X-Remote-User': 'alice' }, ...loopback.frontProxy };
  const attach = await ask('/apis/subresources.crashcart.dev/v1alpha1/namespaces/shop/debugsessions/s/attach', options);
  expect(attach.code).toBe(422);
  expect(JSON.parse(attach.body).message).toContain('WebSocket upgrade');
  expect((await ask('/apis/other', options)).code).toBe(404);
  expect((await ask('/apis/other', { ...loopback.frontProxy })).code).toBe(401);
});

test('discovery and health answer anybody, before anything else is there', async () => {
  loopback = await startLoopback({ agent: false });
  const server = new GatewayServer({
    attach: { upgrade: async () => {}, close: () => {} },
    log: silentLogger,
    certificate: loopback.serving,
  });
  const { port } = await server.listen(0, '127.0.0.1');
  const at = (path: string) => get(port, loopback.servingCa.cert, path);
  expect((await at('/apis/subresources.crashcart.dev/v1alpha1')).code).toBe(200);
  expect((await at('/healthz')).code).toBe(200);
  expect((await at('/livez')).code).toBe(200);
  expect((await at('/openapi/v2')).code).toBe(404);
  expect((await at('/openapi/v3')).code).toBe(404);
  expect((await at('/readyz')).code).toBe(503);
  expect((await at('/anything')).code).toBe(503);
  server.setRequestHeader(requestHeader(loopback.proxyCa.cert));
  expect((await at('/readyz')).code).toBe(200);
  server.close();
});

test('a new serving certificate and a new front-proxy CA take effect without a restart', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  const [servingCa, proxyCa] = await Promise.all([createTestCa('serving-2'), createTestCa('front-proxy-2')]);
  const frontProxy = await proxyCa.issue('front-proxy-client');
  loopback.server.setRequestHeader(requestHeader(proxyCa.cert));
  expect((await refusalOf(loopback.connect('s'))).code).toBe(401);
  await once(loopback.connect('s', { client: frontProxy }), 'open');

  loopback.server.setCertificate(await servingCa.issue('crashcart', ['localhost']));
  await expect(ask('/healthz')).rejects.toThrow(/certificate|issuer/);
  expect((await get(loopback.port, servingCa.cert, '/healthz')).code).toBe(200);
});

test('a user in a thousand groups is let in with all of them', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  const groups = Array.from({ length: 3_000 }, (_, count) => `oidc:department-of-something-long-${count}`);
  await once(loopback.connect('s', { headers: { 'X-Remote-Group': groups } }), 'open');
  expect(loopback.reviews.asked[0]?.user.groups).toEqual(groups);
});

test('a client that resets during the checks harms nobody', async () => {
  loopback = await startLoopback();
  loopback.cache.set(debugSession('s', { nodeName: 'node-1', phase: 'Running' }));
  const { promise, resolve } = Promise.withResolvers<void>();
  loopback.reviews.verdict = async () => {
    await promise;
    return { allowed: true };
  };
  const client = loopback.connect('s');
  client.on('error', () => {});
  await new Promise((done) => setTimeout(done, 50));
  client.terminate();
  resolve();
  await new Promise((done) => setTimeout(done, 50));
  expect((await ask('/healthz')).code).toBe(200);
});

test('a connection that never speaks TLS is dropped and harms nobody', async () => {
  loopback = await startLoopback({ agent: false });
  const socket = net.connect(loopback.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write('GET / HTTP/1.1\r\n\r\n');
  await new Promise((resolve) => socket.once('close', resolve));
  expect((await ask('/healthz')).code).toBe(200);
});

test('strangers hold few connections to the API port, and not for long; the front proxy keeps its own', async () => {
  loopback = await startLoopback({ strangers: { places: 3, withinMs: 1_000 } });
  runSession(loopback, 's');
  const attached = loopback.connect('s');
  await once(attached, 'open');
  const startedAt = Date.now();
  const strangers = Array.from({ length: 8 }, () => {
    const socket = tls.connect({ port: loopback.port, host: 'localhost', ca: loopback.servingCa.cert });
    // Headers without an end: Node waits for the rest.
    socket.on('error', () => {}).write(`GET / HTTP/1.1\r\nX-Filler: ${'x'.repeat(100_000)}`);
    return new Promise<number>((resolve) => socket.once('close', () => resolve(Date.now() - startedAt)));
  });
  const lasted = await Promise.all(strangers);
  expect(lasted.filter((ms) => ms < 800)).toHaveLength(5);
  expect(Math.max(...lasted)).toBeLessThan(4_000);
  expect((await ask('/healthz')).code).toBe(200);
  expect(attached.readyState).toBe(attached.OPEN);
});
