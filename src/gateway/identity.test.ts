import { expect, test } from 'vitest';
import { identify, isFrontProxy, type RequestHeaderConfig } from './identity.ts';

const config: RequestHeaderConfig = {
  clientCa: '',
  allowedNames: ['front-proxy-client'],
  usernameHeaders: ['X-Remote-User', 'X-Other-User'],
  uidHeaders: ['X-Remote-Uid'],
  groupHeaders: ['X-Remote-Group'],
  extraHeaderPrefixes: ['X-Remote-Extra-'],
};

/** As Node gives it: every byte of UTF-8 a character of its own. */
const onTheWire = (text: string): string => Buffer.from(text).toString('latin1');

test('repeated groups stay apart, one with a comma in it too', () => {
  const raw = ['X-Remote-User', 'alice', 'X-Remote-Group', 'a, b', 'x-remote-group', 'c', 'Host', 'h'];
  expect(identify(raw, config)).toEqual({ name: 'alice', groups: ['a, b', 'c'], extra: {} });
});

test('names beyond ASCII are read as UTF-8', () => {
  const raw = ['X-Remote-User', onTheWire('zoë'), 'X-Remote-Group', onTheWire('développeurs')];
  expect(identify(raw, config)).toMatchObject({ name: 'zoë', groups: ['développeurs'] });
});

test('keys of extra are lower case and percent-encoded, their values are collected', () => {
  const raw = [
    'X-Remote-User',
    'alice',
    'X-Remote-Extra-Authentication.kubernetes.io%2Fnode-Name',
    'node-1',
    'X-Remote-Extra-Scopes',
    'one',
    'X-REMOTE-EXTRA-SCOPES',
    'two',
    'X-Remote-Extra-bad%zz',
    'kept',
    'X-Remote-Extra-',
    'no key',
    'X-Remote-Extra-__proto__',
    'harmless',
  ];
  const { extra } = identify(raw, config);
  expect(Object.entries(extra)).toEqual([
    ['authentication.kubernetes.io/node-name', ['node-1']],
    ['scopes', ['one', 'two']],
    ['bad%zz', ['kept']],
    ['__proto__', ['harmless']],
  ]);
  expect(Object.getPrototypeOf(extra)).toBe(Object.prototype);
});

test('a uid counts only where the cluster says which header carries it', () => {
  const raw = ['X-Remote-User', 'alice', 'X-Remote-Uid', '42'];
  expect(identify(raw, config).uid).toBe('42');
  expect(identify(raw, { ...config, uidHeaders: [] })).not.toHaveProperty('uid');
});

test('the first user header that has a value wins', () => {
  expect(identify(['X-Other-User', 'bob', 'X-Remote-User', ''], config).name).toBe('bob');
  expect(identify(['X-Other-User', 'bob', 'X-Remote-User', 'alice'], config).name).toBe('alice');
});

test.each([[[]], [['X-Remote-User', '']], [['X-Remote-Group', 'system:masters']]])(
  'nobody is named by %j',
  (raw: string[]) => {
    expect(() => identify(raw, config)).toThrow('named no user');
  },
);

const peer = (authorized: boolean, CN: unknown) => ({
  authorized,
  getPeerCertificate: (() => (CN === undefined ? {} : { subject: { CN } })) as never,
});

test.each<[string, boolean, unknown, readonly string[], boolean]>([
  ['the right CA and an allowed name', true, 'front-proxy-client', config.allowedNames, true],
  ['the right CA and any name, when none is listed', true, 'somebody', [], true],
  ['an allowed name without the right CA', false, 'front-proxy-client', config.allowedNames, false],
  ['no right CA when none is listed', false, 'front-proxy-client', [], false],
  ['the right CA and another name', true, 'somebody', config.allowedNames, false],
  ['two common names', true, ['front-proxy-client', 'x'], config.allowedNames, false],
  ['no subject', true, undefined, config.allowedNames, false],
])('%s: %s %j → %s', (_title, authorized, name, allowedNames, trusted) => {
  expect(isFrontProxy(peer(authorized, name), { ...config, allowedNames })).toBe(trusted);
});
