import { expect, test } from 'vitest';
import { parseIdentity, parseObservedSession, parseSessionEvent } from './observed-session.ts';

const session = {
  uid: 'u-1',
  namespace: 'shop',
  name: 's',
  phase: 'Finished',
  startedAt: '2026-11-24T04:00:00.123Z',
  exit: { code: 137, signal: 'SIGKILL', reason: 'Killed', at: '2026-11-24T04:00:01Z' },
  attached: 0,
  placement: 'seal',
  cleanedUp: true,
} as const;

test('what an agent tells is read as it was sent, without what is not known', () => {
  expect(parseObservedSession({ ...session, surprise: 1 })).toEqual(session);
  expect(parseSessionEvent({ type: 'list', sessions: [session] })).toEqual({ type: 'list', sessions: [session] });
  expect(parseSessionEvent({ type: 'changed', session })).toEqual({ type: 'changed', session });
  expect(parseSessionEvent({ type: 'forgotten', uid: 'u-1' })).toEqual({ type: 'forgotten', uid: 'u-1' });
});

test('a reason of a newer agent is Internal, its message is kept', () => {
  const failure = { reason: 'FluxCapacitorEmpty', message: 'out of flux' };
  expect(parseObservedSession({ ...session, failure }).failure).toEqual({ reason: 'Internal', message: 'out of flux' });
});

test.each<[string, unknown]>([
  ['an event of another type', { type: 'surprise' }],
  ['a list of too many', { type: 'list', sessions: Array(1025).fill(session) }],
  ['a phase that is none', { type: 'changed', session: { ...session, phase: 'Great' } }],
  ['an exit code out of range', { type: 'changed', session: { ...session, exit: { ...session.exit, code: 256 } } }],
  ['a time that is none', { type: 'changed', session: { ...session, startedAt: '1' } }],
  ['a time that does not exist', { type: 'changed', session: { ...session, startedAt: '2026-13-24T04:00:00Z' } }],
  ['a seal that is too long', { type: 'changed', session: { ...session, placement: 'x'.repeat(65) } }],
  ['a message without an end', { type: 'changed', session: { ...session, leftovers: 'x'.repeat(5_000) } }],
])('%s is refused', (_title, event) => {
  expect(() => parseSessionEvent(event)).toThrow(/must be/);
});

test('an identity has a token of bounded length', () => {
  expect(parseIdentity({ token: 't', version: '1', instance: 'i' })).toEqual({
    token: 't',
    version: '1',
    instance: 'i',
  });
  expect(() => parseIdentity({ token: 'x'.repeat(20_000), version: '1', instance: 'i' })).toThrow('identity.token');
});
