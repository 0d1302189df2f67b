import { once } from 'node:events';
import { afterEach, expect, test, vi } from 'vitest';
import {
  debugSession,
  type Loopback,
  refusalOf,
  runSession,
  startLoopback,
  text,
} from '../../test/support/gateway-loopback.ts';
import { CrashcartError, reasons } from '../base/errors.ts';

vi.setConfig({ testTimeout: 30_000 });

let loopback: Loopback;
afterEach(() => loopback.stop());

test('nothing is upgraded before all rights are there, and the refusal names the missing one', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  loopback.reviews.verdict = (_user, { resource }) => ({
    allowed: resource !== 'pods',
    reason: 'no RBAC policy matched',
  });
  const { code, body } = await refusalOf(loopback.connect('s'));
  expect(code).toBe(403);
  expect(body).toMatchObject({ kind: 'Status', reason: 'Forbidden', code: 403 });
  expect(body.message).toContain('alice may not create pods/exec on web-0 in namespace shop (no RBAC policy matched)');
  expect(body.message).toContain('kubectl create role crashcart-exec -n shop --verb=create --resource=pods/exec');
  expect(loopback.agent.attachments).toHaveLength(0);
});

test('a session of a stronger profile is not for whoever may not use that profile, even with exec on its pod', async () => {
  loopback = await startLoopback();
  const session = runSession(loopback, 's');
  loopback.cache.set({ ...session, spec: { ...session.spec, profile: 'sysadmin' } });
  loopback.reviews.verdict = (_user, { verb, name }) => ({ allowed: verb !== 'use' || name === 'general' });
  const { code, body } = await refusalOf(loopback.connect('s'));
  expect([code, body.reason]).toEqual([403, 'Forbidden']);
  expect(body.message).toContain('alice may not use debugprofiles.crashcart.dev on sysadmin in namespace shop');
  expect(body.message).toContain('-n shop --user=alice --clusterrole=crashcart-admin');
  expect(loopback.agent.attachments).toHaveLength(0);
});

const ownedBy = (username: string, uid?: string): void => {
  const session = runSession(loopback, 's');
  const requestedBy = { username, ...(uid === undefined ? {} : { uid }), groups: [] };
  loopback.cache.set({ ...session, spec: { ...session.spec, requestedBy } });
};

test.each<[string, string, string | undefined, Record<string, string>]>([
  ['another person’s', 'bob', undefined, {}],
  ['of an earlier account of the same name', 'alice', 'uid-1', { 'X-Remote-Uid': 'uid-2' }],
])('a session %s needs attachothers, and the visit is told', async (_, owner, uid, headers) => {
  loopback = await startLoopback();
  ownedBy(owner, uid);
  loopback.reviews.verdict = (_user, { subresource }) => ({ allowed: subresource !== 'attachothers' });
  const { code, body } = await refusalOf(loopback.connect('s', { headers }));
  expect([code, body.reason]).toEqual([403, 'Forbidden']);
  expect(body.message).toMatch(
    /^the session s is another person’s, and alice may not create debugsessions.*attachothers/,
  );
  expect(loopback.agent.attachments).toHaveLength(0);
  expect(loopback.visits).toEqual([expect.stringMatching(/^alice write refused: the session s is another/)]);
  loopback.reviews.verdict = () => ({ allowed: true });
  await once(loopback.connect('s', { headers }), 'open');
  expect(loopback.visits.at(-1)).toBe('alice write');
});

test('a session that names nobody is nobody’s own', async () => {
  loopback = await startLoopback();
  const { spec, ...session } = runSession(loopback, 's');
  const { requestedBy, ...nobodys } = spec;
  loopback.cache.set({ ...session, spec: nobodys });
  loopback.reviews.verdict = (_user, { subresource }) => ({ allowed: subresource !== 'attachothers' });
  expect((await refusalOf(loopback.connect('s'))).code).toBe(403);
  expect(requestedBy).toBeDefined();
});

test('who may observe reads along without any key to the pod, and cannot type', async () => {
  loopback = await startLoopback();
  ownedBy('bob');
  loopback.reviews.verdict = (_user, { subresource }) => ({ allowed: subresource === 'observe' });
  const client = loopback.connect('s', { query: '?stdin=true&tty=true&observe=true' });
  await once(client, 'open');
  expect(loopback.agent.attachments[0]?.request).toMatchObject({ stdin: false });
  client.send(text(0, 'rm -rf /\n'));
  client.send(text(4, '{"Width":1,"Height":1}'));
  client.ping();
  await once(client, 'pong');
  expect(loopback.agent.attachments[0]?.received).toEqual([]);
  expect(loopback.visits).toEqual(['alice observe']);
});

test('who may not observe learns nothing of a session, whether it exists or not', async () => {
  loopback = await startLoopback();
  ownedBy('bob');
  loopback.reviews.verdict = (_user, { subresource }) => ({ allowed: subresource !== 'observe' });
  for (const name of ['s', 'nothing']) {
    const { code, body } = await refusalOf(loopback.connect(name, { query: '?observe=true' }));
    expect([code, body.message]).toEqual([403, expect.stringContaining('may not get debugsessions')]);
  }
});

test('one’s own session is observed without that right', async () => {
  loopback = await startLoopback();
  ownedBy('alice');
  loopback.reviews.verdict = (_user, { subresource }) => ({ allowed: subresource !== 'observe' });
  await once(loopback.connect('s', { query: '?observe=true' }), 'open');
});

test('another session that takes the name while a node is waited for is not attached with the first one’s rights', async () => {
  loopback = await startLoopback();
  loopback.cache.set(debugSession('s', { phase: 'Pending' }));
  const client = loopback.connect('s');
  setTimeout(() => {
    const other = runSession(loopback, 's');
    loopback.cache.set({ ...other, metadata: { ...other.metadata, uid: 'uid-other' } });
  }, 100);
  const { code, body } = await refusalOf(client);
  expect([code, body.reason]).toEqual([410, 'Deleted']);
  expect(loopback.agent.attachments).toHaveLength(0);
});

test('the reviews carry the user as the front proxy named it', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  const headers = { 'X-Remote-Group': ['a, b', 'c'], 'X-Remote-Extra-scopes%2Fx': 'one', 'X-Remote-Uid': '42' };
  await once(loopback.connect('s', { headers }), 'open');
  const user = { name: 'alice', uid: '42', groups: ['a, b', 'c'], extra: { 'scopes/x': ['one'] } };
  expect(loopback.reviews.asked).toEqual([
    {
      user,
      attributes: expect.objectContaining({
        verb: 'create',
        resource: 'debugsessions',
        subresource: 'attach',
        name: 's',
      }),
    },
    {
      user,
      attributes: expect.objectContaining({ verb: 'create', resource: 'pods', subresource: 'exec', name: 'web-0' }),
    },
    {
      user,
      attributes: {
        verb: 'use',
        group: 'crashcart.dev',
        resource: 'debugprofiles',
        namespace: 'shop',
        name: 'general',
      },
    },
  ]);
});

test('a review that cannot be made is not a yes', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  loopback.reviews.verdict = () => Promise.reject(new Error('connection refused'));
  const { code, body } = await refusalOf(loopback.connect('s'));
  expect([code, body.reason]).toEqual([503, 'Unavailable']);
});

test('the agent’s refusal is the client’s, and comes before any 101', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  loopback.agent.onAttach = () => {
    throw new CrashcartError(reasons.MountPointOccupied, 'the container has its own /dev/crashcart');
  };
  const { code, body } = await refusalOf(loopback.connect('s'));
  expect(code).toBe(409);
  expect(body).toMatchObject({ reason: 'MountPointOccupied', message: 'the container has its own /dev/crashcart' });
});

test('a session that is not there is refused by name', async () => {
  loopback = await startLoopback();
  const { code, body } = await refusalOf(loopback.connect('nothing'));
  expect([code, body.reason]).toEqual([404, 'NotFound']);
  expect(body.message).toContain('there is no DebugSession nothing in namespace shop');
});

test('a gateway that is cut off from the API server does not say that a session is not there', async () => {
  loopback = await startLoopback();
  loopback.cache.live = false;
  const { code, body } = await refusalOf(loopback.connect('made-a-moment-ago'));
  expect([code, body.reason]).toEqual([503, 'Unavailable']);
  expect(body.message).toMatch(/made-a-moment-ago in namespace shop yet: try again/);
});

test('a session whose watch event is late is waited for', async () => {
  loopback = await startLoopback();
  const client = loopback.connect('s');
  setTimeout(() => runSession(loopback, 's'), 100);
  await once(client, 'open');
});

test('a session that failed is refused with the reason of its Ready condition', async () => {
  loopback = await startLoopback();
  const ready = { type: 'Ready', status: 'False', reason: 'PodReplaced', message: 'the pod was replaced' } as const;
  const conditions = [{ ...ready, observedGeneration: 1, lastTransitionTime: '2026-11-24T00:00:00Z' }];
  loopback.cache.set(debugSession('s', { phase: 'Failed', conditions }));
  const { code, body } = await refusalOf(loopback.connect('s'));
  expect(code).toBe(409);
  expect(body).toMatchObject({ reason: 'PodReplaced', message: 'the pod was replaced' });
});

test('a session that is over and forgotten is refused with how it ended', async () => {
  loopback = await startLoopback();
  const exit = { code: 3, reason: 'Completed', at: '2026-11-24T00:00:00Z' };
  loopback.cache.set(debugSession('s', { phase: 'Finished', nodeName: 'node-1', exit }));
  const { code, body } = await refusalOf(loopback.connect('s'));
  expect([code, body.reason]).toEqual([410, 'SessionEnded']);
  expect(body.message).toContain('exit code 3');
});

test('a session that the agent is told of a moment later is attached all the same', async () => {
  loopback = await startLoopback();
  loopback.cache.set(debugSession('s', { phase: 'Preparing', nodeName: 'node-1' }));
  const client = loopback.connect('s');
  setTimeout(() => runSession(loopback, 's'), 200);
  await once(client, 'open');
});

test('a client without a protocol that we speak is refused before the upgrade', async () => {
  loopback = await startLoopback();
  runSession(loopback, 's');
  const { code, body } = await refusalOf(loopback.connect('s', { protocols: ['v3.channel.k8s.io'] }));
  expect([code, body.reason]).toEqual([422, 'Invalid']);
});
