import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, expect, test, vi } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import {
  conversationOf,
  debugSession,
  type Loopback,
  refusalOf,
  runSession,
  startLoopback,
  text,
} from '../../test/support/gateway-loopback.ts';
import type { AttachmentDouble } from '../../test/support/session-double.ts';
import { reasons } from '../base/errors.ts';
import { limits } from '../wire/agent-protocol.ts';
import { channels, resizePayload } from '../wire/channel.ts';
import { encodeProgress, parseProgress } from '../wire/resume.ts';
import { encodeStatus, exitOfStatus, statusOfExit } from '../wire/status.ts';
import type { ResourceAttributes } from './kubernetes.ts';

// Megabytes through five TLS ends in one process, on a machine that may be busy.
vi.setConfig({ testTimeout: 30_000 });

let loopback: Loopback;
afterEach(() => loopback.stop());

const statusFrame = (code: number) => ({
  channel: channels.status,
  payload: encodeStatus(statusOfExit({ code, reason: reasons.Completed })),
});

const queue = (attachment: AttachmentDouble, frames: { channel: number; payload: Uint8Array }[]): void => {
  attachment.source = () => frames.shift() ?? null;
};

const attachmentOf = (): Promise<AttachmentDouble> => eventually(() => first(loopback.agent.attachments), 3_000, 5);
function first<T>(list: readonly T[]): T {
  const [item] = list;
  if (item === undefined) throw new Error('none yet');
  return item;
}

test.each(['v5.channel.k8s.io', 'v4.channel.k8s.io'])(
  'a %s client gets the output, the exit code and a normal close',
  async (protocol) => {
    loopback = await startLoopback();
    runSession(loopback, 's');
    loopback.agent.onAttach = (attachment) =>
      queue(attachment, [
        { channel: channels.stdout, payload: Buffer.from('hello') },
        { channel: channels.stderr, payload: Buffer.from('oops') },
        statusFrame(7),
      ]);
    const client = loopback.connect('s', { protocols: [protocol] });
    const { messages, closeCode } = await conversationOf(client);
    expect(client.protocol).toBe(protocol);
    expect(messages.slice(0, 2)).toEqual([text(1, 'hello'), text(2, 'oops')]);
    expect(messages[2]?.[0]).toBe(channels.status);
    expect(exitOfStatus(messages[2]!.subarray(1)).code).toBe(7);
    expect(messages).toHaveLength(3);
    expect(closeCode).toBe(1000);
  },
);

test('a client that offers both protocols is given v5', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  const client = loopback.connect('s', { protocols: ['v4.channel.k8s.io', 'v5.channel.k8s.io'] });
  await once(client, 'open');
  expect(client.protocol).toBe('v5.channel.k8s.io');
});

test('what a client sends reaches the session in order: input, a new size, the end of input', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  const client = loopback.connect('s');
  await once(client, 'open');
  client.send(text(0, 'ls\n'));
  client.send(Buffer.concat([Buffer.of(channels.resize), resizePayload({ width: 80, height: 24 })]));
  client.send(Buffer.of(channels.close, channels.resize));
  client.send(Buffer.of(channels.close, channels.stdin));
  const { received, request } = await attachmentOf();
  await eventually(() => expect(received).toHaveLength(3), 3_000, 5);
  expect(received.map(({ channel, payload }) => [channel, Buffer.from(payload).toString('latin1')])).toEqual([
    [channels.stdin, 'ls\n'],
    [channels.resize, '{"Width":80,"Height":24}'],
    [channels.close, '\0'],
  ]);
  expect(request).toEqual({ stdin: true, stdout: true, stderr: true, tty: true, observe: false, user: 'alice' });
});

test('the session knows that a client only watches, may come back to it, and gets nothing but how far it has read', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  const query = '?stdin=true&tty=true&observe=true&resume=tail&client=00000000000000ab';
  const client = loopback.connect('s', { query });
  await once(client, 'open');
  client.send(text(0, 'ls\n'));
  client.send(Buffer.concat([Buffer.of(channels.resize), resizePayload({ width: 80, height: 24 })]));
  client.send(Buffer.of(channels.close, channels.stdin));
  client.send(Buffer.of(77, 1));
  client.send(Buffer.concat([Buffer.of(channels.resume), encodeProgress({ position: 5 })]));
  const { received, request } = await attachmentOf();
  await eventually(() => expect(received).toHaveLength(1), 3_000, 5);
  expect(received[0]!.channel).toBe(channels.resume);
  expect(parseProgress(received[0]!.payload)).toEqual({ position: 5 });
  expect(request).toMatchObject({ stdin: false, observe: true, resume: { id: 0xabn } });
});

test('the name of the user and the audit id travel with the attach', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  const user = Buffer.from('zoë@example').toString('latin1');
  const client = loopback.connect('s', {
    headers: { 'X-Remote-User': user, 'Audit-Id': 'audit-1' },
    query: '?stdin=1',
  });
  await once(client, 'open');
  expect((await attachmentOf()).request).toEqual({
    stdin: true,
    stdout: true,
    stderr: true,
    tty: false,
    observe: false,
    user: 'zoë@example',
    auditId: 'audit-1',
  });
});

test('a megabyte goes both ways unharmed', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  const sent = randomBytes(1024 * 1024);
  const pending: { channel: number; payload: Uint8Array }[] = [];
  let ended = false;
  loopback.agent.onAttach = (attachment) => {
    attachment.source = () => pending.shift() ?? (ended ? null : undefined);
    attachment.onInput(({ channel, payload }) => {
      if (channel === channels.stdin) pending.push({ channel: channels.stdout, payload: Buffer.from(payload) });
      if (channel === channels.close) {
        pending.push(statusFrame(0));
        ended = true;
      }
      attachment.pull();
    });
  };
  const client = loopback.connect('s');
  await once(client, 'open');
  const conversation = conversationOf(client);
  for (let at = 0; at < sent.length; at += 100_000) {
    client.send(Buffer.concat([Buffer.of(channels.stdin), sent.subarray(at, at + 100_000)]));
  }
  client.send(Buffer.of(channels.close, channels.stdin));
  const { messages, closeCode } = await conversation;
  const got = Buffer.concat(
    messages.filter((message) => message[0] === channels.stdout).map((message) => message.subarray(1)),
  );
  expect(createHash('sha256').update(got).digest('hex')).toBe(createHash('sha256').update(sent).digest('hex'));
  expect(closeCode).toBe(1000);
});

test('a client that does not read stops the session instead of filling memory', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  const payload = Buffer.alloc(limits.framePayloadBytes, 'y');
  loopback.agent.onAttach = (attachment) => {
    attachment.source = () => ({ channel: channels.stdout, payload });
  };
  const client = loopback.connect('s');
  await once(client, 'open');
  client.pause();
  const attachment = await attachmentOf();
  const settled = await eventually(async () => {
    const before = attachment.pulled;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(attachment.pulled).toBe(before);
    return before;
  }, 10_000);
  // Two TLS connections' socket buffers (megabytes each on loopback), 1 MiB of window, 1 MiB in the gateway.
  expect(settled * payload.length).toBeLessThan(32 * 1024 * 1024);
  client.resume();
  await eventually(() => expect(attachment.pulled).toBeGreaterThan(settled + 500));
});

test('a session that does not take input stops the client, and goes on when it does', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  loopback.agent.onAttach = (attachment) => {
    attachment.full = true;
  };
  const client = loopback.connect('s');
  await once(client, 'open');
  const attachment = await attachmentOf();
  const message = Buffer.concat([Buffer.of(channels.stdin), Buffer.alloc(limits.framePayloadBytes)]);
  const total = 1_000;
  for (let count = 0; count < total; count++) client.send(message);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(attachment.received).toHaveLength(0);
  expect(client.bufferedAmount).toBeGreaterThan(4 * 1024 * 1024);
  attachment.drain();
  await eventually(() => expect(attachment.received).toHaveLength(total));
});

test('an agent that is cut off gives the client a failure that says so', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  loopback.agent.onAttach = (attachment) => {
    const frames = [{ channel: channels.stdout, payload: Buffer.from('working') }];
    attachment.source = () => frames.shift();
  };
  const client = loopback.connect('s');
  const conversation = conversationOf(client);
  await once(client, 'message');
  loopback.tunnels.close();
  const { messages, closeCode } = await conversation;
  expect(exitOfStatus(messages.at(-1)!.subarray(1))).toEqual({
    code: 255,
    reason: reasons.AgentLost,
    message: 'the connection to the node agent was lost; the session may still run: attach again',
  });
  expect(closeCode).toBe(1000);
});

test('output that ends without a status is a failure, never a silent success', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  loopback.agent.onAttach = (attachment) => queue(attachment, []);
  const { messages } = await conversationOf(loopback.connect('s'));
  expect(exitOfStatus(messages.at(-1)!.subarray(1)).reason).toBe(reasons.AgentLost);
});

test('a session that gives a frame too long for the wire is cut, and the agent lives on', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  loopback.agent.onAttach = (attachment) =>
    queue(attachment, [{ channel: channels.stdout, payload: Buffer.alloc(limits.framePayloadBytes + 1) }]);
  const { messages } = await conversationOf(loopback.connect('s'));
  expect(exitOfStatus(messages.at(-1)!.subarray(1)).reason).toBe(reasons.AgentLost);
  expect(loopback.registry.nodes()).toEqual(['node-1']);
});

test('a client that goes detaches: the session is told and goes on', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  const client = loopback.connect('s');
  await once(client, 'open');
  const attachment = await attachmentOf();
  client.terminate();
  await eventually(() => expect(attachment.closed).toBe(true), 3_000, 5);
  expect(loopback.agent.sessions.has('uid-s')).toBe(true);
});

test('a client that sends what it may not is told and cut', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  const client = loopback.connect('s');
  await once(client, 'open');
  const conversation = conversationOf(client);
  client.send(text(channels.stdout, 'forged'));
  const { messages, closeCode } = await conversation;
  expect(exitOfStatus(messages[0]!.subarray(1))).toMatchObject({
    reason: 'Invalid',
    message: 'a client may not send on channel 1',
  });
  expect(closeCode).toBe(1000);
});

test('a client that no longer answers is cut and detached', async () => {
  loopback = await startLoopback({ keepAlive: { everyMs: 30, deadAfterMs: 120 } });
  runSession(loopback, 's');
  const client = loopback.connect('s');
  await once(client, 'open');
  const attachment = await attachmentOf();
  client.pause();
  await eventually(() => expect(attachment.closed).toBe(true), 3_000, 10);
});

const resuming = '?stdin=true&stdout=true&stderr=true&tty=true&resume=tail&client=00000000000000ab';
test.each<[string, string | undefined, number, boolean]>([
  ['that owes us reading, and cannot come back, is given more time', undefined, 1, false],
  ['that can come back, and owes no more than may be on its way, is not', resuming, 2, true],
  ['that can come back, and owes more than that, is given more time', resuming, 3, false],
])('a client %s', async (_, query, frames, cut) => {
  loopback = await startLoopback({ keepAlive: { everyMs: 100, deadAfterMs: 600 } });
  runSession(loopback, 's');
  const client = loopback.connect('s', query === undefined ? {} : { query });
  await once(client, 'open');
  client.pause();
  const attachment = await attachmentOf();
  const unread = Array.from({ length: frames }, () => ({ channel: channels.stdout, payload: Buffer.alloc(30_000) }));
  attachment.source = () => unread.shift();
  attachment.pull();
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(attachment.closed).toBe(cut);
});

test('a replica that goes away closes its clients with "come back", not with a status', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  const client = loopback.connect('s');
  await once(client, 'open');
  const conversation = conversationOf(client);
  loopback.attach.close();
  expect(await conversation).toEqual({ messages: [], closeCode: 1012 });
});

test.each<[string, Partial<ResourceAttributes>]>([
  ['to attach', { subresource: 'attach' }],
  ['to exec into the pod', { subresource: 'exec' }],
  ['to use the profile', { verb: 'use' }],
])('a right that is withdrawn, %s, ends an open shell with a sentence', async (_, right) => {
  loopback = await startLoopback({ reviewEveryMs: 50 });
  runSession(loopback, 's');
  const client = loopback.connect('s');
  await once(client, 'open');
  const conversation = conversationOf(client);
  const isMeant = (asked: ResourceAttributes): boolean =>
    asked.verb === right.verb || (right.subresource !== undefined && asked.subresource === right.subresource);
  loopback.reviews.verdict = (_user, asked) => ({ allowed: !isMeant(asked) });
  const { messages } = await conversation;
  expect(exitOfStatus(messages[0]!.subarray(1)).reason).toBe(reasons.Forbidden);
});

/** A session that its agent has and whose status says nothing yet. */
function prepareSession(name: string, placement: string | undefined, owner = 'alice'): void {
  const { spec, ...session } = debugSession(name);
  loopback.cache.set({ ...session, spec: { ...spec, requestedBy: { username: owner, groups: [] } } });
  const { uid, namespace } = session.metadata;
  const seal = placement === undefined ? {} : { placement };
  const observed = { uid, namespace, name, phase: 'Running', attached: 0, ...seal, cleanedUp: false } as const;
  loopback.agent.sessions.set(uid, observed);
  loopback.agent.emit({ type: 'changed', session: observed });
}

test('who comes before the status is written is led to the node whose agent shows the leader’s seal', async () => {
  loopback = await startLoopback();
  prepareSession('s', loopback.placements.seal('uid-s', 'node-1'));
  await once(loopback.connect('s'), 'open');
  expect(loopback.agent.attachments).toHaveLength(1);
});

test.each<[string, (seal: (node: string) => string | undefined) => [string | undefined, string?]]>([
  ['that shows no seal', () => [undefined]],
  ['with the seal of another node', (seal) => [seal('node-2')]],
  ['for another person’s session, whose pod must be told, too', (seal) => [seal('node-1'), 'bob']],
])('nobody is led to an agent %s: the status is waited for', async (_, made) => {
  loopback = await startLoopback();
  prepareSession('s', ...made((node) => loopback.placements.seal('uid-s', node)));
  expect((await refusalOf(loopback.connect('s'))).body).toMatchObject({ reason: reasons.Timeout });
  expect(loopback.agent.attachments).toHaveLength(0);
});
