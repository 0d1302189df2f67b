import { expect, test } from 'vitest';
import { cacheAllowed } from './allow-cache.ts';
import type { ResourceAttributes, UserInfo, Verdict } from './kubernetes.ts';

const alice: UserInfo = { name: 'alice', groups: ['dev'], extra: {} };
const exec: ResourceAttributes = {
  verb: 'create',
  group: '',
  resource: 'pods',
  subresource: 'exec',
  namespace: 'shop',
  name: 'web',
};

function counted(answer: () => Verdict | Promise<Verdict>) {
  const asked: string[] = [];
  let nowMs = 0;
  const cached = cacheAllowed(
    {
      async authorize(user, attributes) {
        asked.push(`${user.name} ${attributes.name}`);
        return answer();
      },
    },
    () => nowMs,
  );
  return { asked, cached, pass: (ms: number) => (nowMs += ms) };
}

test('a yes is used again for ten seconds, and then asked for anew', async () => {
  const { asked, cached, pass } = counted(() => ({ allowed: true }));
  for (const ms of [0, 9_999]) {
    pass(ms);
    expect(await cached.authorize(alice, exec)).toEqual({ allowed: true });
  }
  expect(asked).toHaveLength(1);
  pass(1);
  await cached.authorize(alice, exec);
  expect(asked).toHaveLength(2);
});

test('a no is asked for again at once, so that a right that was just given counts', async () => {
  const { asked, cached } = counted(() => ({ allowed: false }));
  await cached.authorize(alice, exec);
  await cached.authorize(alice, exec);
  expect(asked).toHaveLength(2);
});

test('an error is passed on, never kept and never a yes', async () => {
  const { asked, cached } = counted(() => Promise.reject(new Error('refused')));
  await expect(cached.authorize(alice, exec)).rejects.toThrow('refused');
  await expect(cached.authorize(alice, exec)).rejects.toThrow('refused');
  expect(asked).toHaveLength(2);
});

test.each<[string, UserInfo, ResourceAttributes]>([
  ['another user', { ...alice, name: 'bob' }, exec],
  ['other groups', { ...alice, groups: [] }, exec],
  ['a narrower token', { ...alice, extra: { scopes: ['read'] } }, exec],
  ['another uid', { ...alice, uid: '7' }, exec],
  ['another pod', alice, { ...exec, name: 'db' }],
  ['another verb', alice, { ...exec, verb: 'get' }],
])('%s is asked about by itself', async (_, user, attributes) => {
  const { asked, cached } = counted(() => ({ allowed: true }));
  await cached.authorize(alice, exec);
  await cached.authorize(user, attributes);
  expect(asked).toHaveLength(2);
});
