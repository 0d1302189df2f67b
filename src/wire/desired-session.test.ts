import { expect, test } from 'vitest';
import { shippedProfiles } from '../api/profile-rules.ts';
import { parseDesiredSession } from './desired-session.ts';

const good = {
  uid: '0b5c8f0e-6d0b-4e7e-9a3c-0d8d6f1f2a11',
  namespace: 'shop',
  name: 'web-0-x7',
  pod: { name: 'web-0', uid: 'p' },
  container: { name: 'web', id: 'containerd://abc' },
  toolbox: 'default',
  profile: 'general',
  rules: shippedProfiles.general,
  command: ['sh', '-c', 'exit 7'],
  tty: false,
  stdin: true,
  visibility: 'Session',
  user: { uid: 0 },
  maxDurationMs: 3_600_000,
  idleTimeoutMs: 60_000,
  placement: 'seal',
};

const withRules = (rules: object) => ({ ...good, rules: { ...good.rules, ...rules } });

test('a session is read as it was sent, without what is not known', () => {
  expect(parseDesiredSession(JSON.parse(JSON.stringify({ ...good, surprise: 1 })))).toEqual(good);
  const { command, user, ...least } = good;
  expect(parseDesiredSession(least)).toEqual(least);
});

test('an order of a controller that sends no rules means what its profile always meant', () => {
  const { rules, ...older } = { ...good, profile: 'sysadmin' };
  expect(parseDesiredSession(older).rules).toEqual(shippedProfiles.sysadmin);
  expect(rules).not.toEqual(shippedProfiles.sysadmin);
});

test('the rules count, not the name: a profile of any name may be sent with them', () => {
  const sent = { ...good, profile: 'night-shift', rules: { ...shippedProfiles.restricted, limits: { cpus: 0.5 } } };
  expect(parseDesiredSession(sent)).toEqual(sent);
});

test.each<[string, unknown, string]>([
  ['no object', null, 'session must be an object'],
  ['a list', [], 'session must be an object'],
  ['a uid that is a path', { ...good, uid: '../../etc' }, 'letters, digits and dashes'],
  ['a uid with a newline', { ...good, uid: 'a\n' }, 'letters, digits and dashes'],
  ['no pod', { ...good, pod: undefined }, 'session.pod must be an object'],
  ['a long name', { ...good, name: 'x'.repeat(300) }, 'session.name must be a text of at most 253'],
  ['a profile that is none', { ...good, profile: 'root', rules: undefined }, 'session.profile must be one of general'],
  ['a capability that is a path', withRules({ capabilities: { add: ['../x'] } }), 'must name capabilities'],
  ['too many capabilities', withRules({ capabilities: { add: Array(65).fill('CHOWN') } }), 'a list of at most 64'],
  ['capabilities that are a text', withRules({ capabilities: { add: 'all' } }), 'capabilities.add must be a list'],
  ['users that are none', withRules({ users: 'Root' }), 'session.rules.users must be one of Reachable, Any'],
  ['a filter that is none', withRules({ seccomp: 'Off' }), 'session.rules.seccomp must be one of'],
  ['memory that is negative', withRules({ limits: { memoryBytes: -1 } }), 'limits.memoryBytes must be a whole number'],
  ['no processor', withRules({ limits: { cpus: 0 } }), 'limits.cpus must be a number of cores'],
  ['a flag that is a text', { ...good, tty: 'true' }, 'session.tty must be true or false'],
  ['a NUL in the command', { ...good, command: ['sh\0x'] }, 'without NUL'],
  // biome-ignore lint/suspicious/noSparseArray: that is the point
  ['a hole in the command', { ...good, command: ['sh', , 'x'] }, 'without NUL'],
  ['a command that is a text', { ...good, command: 'sh' }, 'session.command must be a list'],
  ['too many arguments', { ...good, command: Array(1025).fill('x') }, 'session.command must be a list of at most 1024'],
  ['a negative user', { ...good, user: { uid: -1 } }, 'session.user.uid must be a whole number from 0'],
  ['the user id that means "unchanged"', { ...good, user: { uid: 0xffffffff } }, 'session.user.uid'],
  ['a duration that no timer can hold', { ...good, maxDurationMs: 2 ** 31 }, 'session.maxDurationMs'],
  ['a duration of nothing', { ...good, idleTimeoutMs: 0 }, 'session.idleTimeoutMs'],
  ['a duration that is not whole', { ...good, idleTimeoutMs: 1.5 }, 'session.idleTimeoutMs'],
])('%s is refused with the name of the field', (_title, value, message) => {
  expect(() => parseDesiredSession(value)).toThrow(message);
});
