import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { eventually } from '../../../test/support/eventually.ts';
import {
  conversationOf,
  type Loopback,
  refusalOf,
  runSession,
  startLoopback,
  text,
} from '../../../test/support/gateway-loopback.ts';
import { type DebugAttachment, secretDigest } from '../../api/debug-attachment.ts';
import { attachPath, frontDoorPath, recordingPath } from '../../api/names.ts';
import { byteStream } from '../../wire/byte-stream.ts';
import { channels } from '../../wire/channel.ts';
import { formatTicket } from '../../wire/ticket.ts';
import type { Tickets } from '../kubernetes.ts';

vi.setConfig({ testTimeout: 30_000 });

const secret = 's'.repeat(43);
const shown = formatTicket({ namespace: 'shop', name: 'ticket', secret });

/** One ticket of alice's, for the session `s`. */
class OneTicket implements Tickets {
  left = true;

  async get(namespace: string, name: string): Promise<DebugAttachment | undefined> {
    if (!this.left || `${namespace}/${name}` !== 'shop/ticket') return undefined;
    const requestedBy = { username: 'alice', groups: ['devs'], extra: { scopes: ['all'] } };
    const secretSha256 = secretDigest(secret);
    return { namespace, name, uid: 't', createdAtMs: Date.now(), sessionName: 's', secretSha256, requestedBy };
  }

  async take(): Promise<boolean> {
    const { left } = this;
    this.left = false;
    return left;
  }
}

let loopback: Loopback;
const outers = new Set<WebSocket>();
afterEach(async () => {
  for (const outer of outers) outer.terminate();
  outers.clear();
  await loopback.stop();
});

async function start(options: Parameters<typeof startLoopback>[0] = {}): Promise<void> {
  loopback = await startLoopback({ tickets: new OneTicket(), ...options });
  runSession(loopback, 's');
}

/** As the API server's proxy of a Service comes: without a certificate, and without looking at ours. */
async function knock(): Promise<WebSocket> {
  const url = `wss://localhost:${loopback.port}${frontDoorPath}`;
  const outer = new WebSocket(url, { rejectUnauthorized: false, perMessageDeflate: false });
  outers.add(outer);
  outer.on('error', () => undefined);
  await once(outer, 'open');
  return outer;
}

async function inside(): Promise<TLSSocket> {
  const outer = await knock();
  const stream = byteStream(outer);
  stream.on('error', () => undefined);
  const socket = connect({
    socket: stream,
    ca: loopback.servingCa.cert,
    servername: 'crashcart.crashcart-system.svc',
  });
  outer.once('close', () => socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

async function attach(path: string, authorization: string | undefined = shown): Promise<WebSocket> {
  const socket = await inside();
  return new WebSocket(`ws://gateway${path}?stdin=true&stdout=true`, ['v5.channel.k8s.io'], {
    createConnection: () => socket,
    headers: authorization === undefined ? {} : { authorization },
    perMessageDeflate: false,
  });
}

const attachments = () => loopback.agent.attachments;

test('who shows a ticket is attached as its creator, with the rights of all that the API server knew of them', async () => {
  await start();
  const client = await attach(attachPath('shop', 's'));
  await once(client, 'open');
  await eventually(() => expect(attachments()[0]?.request).toMatchObject({ user: 'alice' }), 3_000, 5);
  const { user } = loopback.reviews.asked[0]!;
  expect(user).toEqual({ name: 'alice', groups: ['devs'], extra: { scopes: ['all'] } });
  client.send(text(0, 'ls\n'));
  await eventually(() => expect(attachments()[0]?.received).toHaveLength(1), 3_000, 5);
  const ended = conversationOf(client);
  client.close(1000);
  expect((await ended).closeCode).toBe(1000);
});

test('megabytes of input and of output pass, whole and in order', async () => {
  await start();
  const input = randomBytes(3_000_000);
  const output = Array.from({ length: 100 }, () => randomBytes(32_000));
  const frames = output.map((payload) => ({ channel: channels.stdout, payload }));
  loopback.agent.onAttach = (attachment) => {
    attachment.source = () => frames.shift();
  };
  const client = await attach(attachPath('shop', 's'));
  const got: Buffer[] = [];
  client.on('message', (data: Buffer) => got.push(data.subarray(1)));
  await once(client, 'open');
  for (let at = 0; at < input.length; at += 64_000) {
    client.send(Buffer.concat([Buffer.of(channels.stdin), input.subarray(at, at + 64_000)]));
  }
  const received = (): Buffer =>
    Buffer.concat(attachments()[0]?.received.map(({ payload }) => Buffer.from(payload)) ?? []);
  await eventually(() => expect(received().length).toBe(input.length), 10_000, 5);
  expect(received().equals(input)).toBe(true);
  await eventually(() => expect(Buffer.concat(got).length).toBe(3_200_000), 10_000, 5);
  expect(Buffer.concat(got).equals(Buffer.concat(output))).toBe(true);
  client.terminate();
});

test('a ticket that was used opens nothing', async () => {
  await start();
  const first = await attach(attachPath('shop', 's'));
  await once(first, 'open');
  const { code, body } = await refusalOf(await attach(attachPath('shop', 's')));
  expect([code, body.reason]).toEqual([401, 'Unauthorized']);
  first.terminate();
});

test('a ticket is for its own session', async () => {
  await start();
  runSession(loopback, 'other');
  const { code, body } = await refusalOf(await attach(attachPath('shop', 'other')));
  expect([code, body.message]).toEqual([403, `this ticket is for ${attachPath('shop', 's')} only`]);
});

test('the rights are asked for as everywhere', async () => {
  await start();
  loopback.reviews.verdict = () => ({ allowed: false });
  const { code, body } = await refusalOf(await attach(attachPath('shop', 's')));
  expect([code, body.reason]).toEqual([403, 'Forbidden']);
});

test('headers of a front proxy name nobody here', async () => {
  await start();
  const socket = await inside();
  const client = new WebSocket(`ws://gateway${attachPath('shop', 's')}`, ['v5.channel.k8s.io'], {
    createConnection: () => socket,
    headers: { 'X-Remote-User': 'admin' },
  });
  expect((await refusalOf(client)).code).toBe(401);
});

test('the recording of another session is refused, and so is every other path', async () => {
  await start();
  for (const path of [recordingPath('shop', 'other'), '/apis', '/metrics']) {
    const socket = await inside();
    const call = request({ createConnection: () => socket, path, headers: { authorization: shown } }).end();
    const [response] = await once(call, 'response');
    expect(response.statusCode).toBe(path === recordingPath('shop', 'other') ? 403 : 401);
    socket.destroy();
  }
});

test('who shows nothing is turned out in time', async () => {
  await start({ strangers: { places: 4, withinMs: 200 } });
  const silent = await knock();
  await once(silent, 'close');
  await inside().then((socket) => once(socket, 'close'));
});

test('a client that breaks off is seen to be gone', async () => {
  await start();
  const client = await attach(attachPath('shop', 's'));
  await once(client, 'open');
  await eventually(() => expect(attachments()).toHaveLength(1), 3_000, 5);
  for (const outer of outers) outer.terminate();
  await eventually(() => expect(attachments()[0]?.closed).toBe(true), 3_000, 5);
});

test('what is not TLS inside ends that connection only', async () => {
  await start();
  const outer = await knock();
  outer.send('GET / HTTP/1.1\r\n\r\n');
  await once(outer, 'close');
  const client = await attach(attachPath('shop', 's'));
  await once(client, 'open');
  client.terminate();
});

test('without tickets there is no such door', async () => {
  loopback = await startLoopback();
  const url = `wss://localhost:${loopback.port}${frontDoorPath}`;
  expect((await refusalOf(new WebSocket(url, { rejectUnauthorized: false }))).code).toBe(401);
});
