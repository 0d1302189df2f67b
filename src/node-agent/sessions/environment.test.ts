import { expect, test } from 'vitest';
import type { DesiredSession } from '../../wire/agent-protocol.ts';
import { givenEnvironment } from './environment.ts';

const desired = {
  namespace: 'shop',
  name: 'look',
  pod: { name: 'web-0', uid: 'u' },
  container: { name: 'web', id: 'containerd://a' },
  tty: true,
} as DesiredSession;

const spec = (uid: number, env: string[] = []) => ({ user: { uid, gid: uid, additionalGids: [] }, env });

test("the shell knows its session, and nothing of the container's environment gets in", () => {
  const env = ['LD_PRELOAD=/evil.so', 'BASH_ENV=/evil', 'HOME=/srv', 'DB_PASSWORD=secret'];
  expect(givenEnvironment(desired, { auditId: 'audit-1' }, spec(1000, env))).toEqual({
    TERM: 'xterm-256color',
    HOME: '/srv',
    LANG: 'C.UTF-8',
    HISTFILE: '',
    INPUTRC: '/dev/null',
    CRASHCART_SESSION: 'shop/look',
    CRASHCART_POD: 'web-0',
    CRASHCART_CONTAINER: 'web',
    CRASHCART_AUDIT_ID: 'audit-1',
  });
});

test.each([
  ['root has /root', {}, spec(0), '/root'],
  ['a user without a home has /', {}, spec(65_532), '/'],
  ['a home that is no path is none', {}, spec(1000, ['HOME=../x']), '/'],
  ["another user than the container's does not get its home", { user: { uid: 0 } }, spec(1000, ['HOME=/srv']), '/root'],
])('%s', (_title, over, container, home) => {
  expect(givenEnvironment({ ...desired, ...over }, {}, container)['HOME']).toBe(home);
});

test('a command without a terminal has no TERM', () => {
  expect(givenEnvironment({ ...desired, tty: false }, {}, spec(0))).not.toHaveProperty('TERM');
});
