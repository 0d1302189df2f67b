import { describe, expect, test } from 'vitest';
import { debugSession } from '../../test/support/gateway-loopback.ts';
import { type Admission, isAdmitted } from './admitted.ts';
import type { UserInfo } from './kubernetes.ts';

const groups = ['dev', 'system:authenticated'];
const alice: UserInfo = {
  name: 'alice',
  uid: 'u1',
  groups,
  extra: { 'authentication.kubernetes.io/credential-id': ['X509SHA256=1'] },
};
const made = debugSession('s');
const session = { ...made, spec: { ...made.spec, requestedBy: { username: 'alice', uid: 'u1', groups } } };
const createdMs = Date.parse(session.metadata.creationTimestamp);
const fresh: Admission = { policiesSinceMs: createdMs - 1_000, seenForMs: 200, nowMs: createdMs + 900 };

test('the maker of a new session has just been asked about', () => {
  expect(isAdmitted(session, alice, fresh)).toBe(true);
  expect(isAdmitted(session, { ...alice, groups: [...groups].reverse() }, fresh)).toBe(true);
});

describe('everybody else is asked about', () => {
  test.each<[string, UserInfo]>([
    ['another name', { ...alice, name: 'bob' }],
    ['another account of the name', { ...alice, uid: 'u2' }],
    ['an account without a uid', { name: 'alice', groups, extra: {} }],
    ['fewer groups', { ...alice, groups: ['dev'] }],
    ['more groups', { ...alice, groups: [...groups, 'admins'] }],
    ['a token with a scope', { ...alice, extra: { 'scopes.authorization.openshift.io': ['user:info'] } }],
  ])('%s', (_, user) => {
    expect(isAdmitted(session, user, fresh)).toBe(false);
  });

  test('a session that names nobody', () => {
    const { requestedBy: _, ...nobodys } = session.spec;
    expect(isAdmitted({ ...session, spec: nobodys }, alice, fresh)).toBe(false);
  });
});

describe('an old yes, or one that nobody gave, is none', () => {
  test.each<[string, Partial<Admission>]>([
    ['created long ago', { nowMs: createdMs + 10_001 }],
    ['created long ago, by a clock of ours that is late', { seenForMs: 10_001 }],
    ['created in the future', { nowMs: createdMs - 10_001 }],
    ['not known here', { seenForMs: undefined }],
    ['without policies', { policiesSinceMs: undefined }],
    ['from before the policies', { policiesSinceMs: createdMs + 1 }],
  ])('%s', (_, change) => {
    expect(isAdmitted(session, alice, { ...fresh, ...change })).toBe(false);
  });
});
