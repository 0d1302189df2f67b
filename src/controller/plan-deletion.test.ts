import { expect, test } from 'vitest';
import { reasons } from '../base/errors.ts';
import { plan } from './plan.ts';
import { makeObserved, makeSession, makeSituation, placed, secondsAgo } from './session-fixture.ts';
import type { Situation } from './situation.ts';

const deleted = (status = placed({ phase: 'Running' }), seconds = 0) =>
  makeSession({ metadata: { deletionTimestamp: secondsAgo(seconds) }, status });
const planned = (changes: Partial<Situation>) =>
  plan(makeSituation({ session: deleted(), pod: 'unknown', ...changes })).map((action) =>
    action.type === 'event' ? `event ${action.reason}` : action.type,
  );

test('an object without our finalizer is none of our business', () => {
  const session = makeSession({ metadata: { deletionTimestamp: secondsAgo(0), finalizers: ['other/one'] } });
  expect(planned({ session })).toEqual([]);
});

test('a running session is taken from its agent first', () => {
  const actions = plan(makeSituation({ session: deleted(), observed: makeObserved() }));
  expect(actions).toEqual([
    { type: 'removeFromAgent', node: 'node-a', reason: 'Deleted' },
    { type: 'requeueAfter', ms: 2_000 },
  ]);
});

test('the finalizer goes when the clean-up is proven, and the agent forgets the session', () => {
  const observed = makeObserved({ phase: 'Finished', cleanedUp: true });
  const session = deleted(placed({ phase: 'Finished' }));
  expect(planned({ session, observed })).toEqual(['removeFromAgent', 'removeFinalizer']);
});

test('how a session ended that was deleted while it ran is told before it goes', () => {
  const exit = { code: 137, reason: reasons.Deleted, at: secondsAgo(0) };
  const observed = makeObserved({ phase: 'Finished', exit, cleanedUp: true });
  const [event, ...rest] = plan(makeSituation({ session: deleted(), observed }));
  expect(event).toMatchObject({
    type: 'event',
    about: 'session-and-pod',
    reason: 'DebugSessionEnded',
    message: expect.stringMatching(/look of alice .* ended with code 137: it was deleted; it ran with profile general/),
  });
  expect(rest.map(({ type }) => type)).toEqual(['removeFromAgent', 'removeFinalizer']);
});

test('the finalizer goes at once when nothing was ever told to an agent', () => {
  expect(planned({ session: deleted({}) })).toEqual(['removeFinalizer']);
  expect(planned({ session: deleted(placed({ phase: 'Pending' })), agent: { connected: false, absentMs: 0 } })).toEqual(
    ['removeFinalizer'],
  );
});

test('nothing is known of a session without a status that was there before this leader', () => {
  expect(planned({ session: deleted({}), inherited: true })).toEqual(['requeueAfter']);
  expect(planned({ session: deleted(placed({ phase: 'Pending' })), inherited: true })).toEqual(['requeueAfter']);
});

test('a session that was told to an agent a moment ago is not "never told", whatever the status says', () => {
  const agent = { connected: false, absentMs: 0 } as const;
  expect(planned({ session: deleted({}), dispatched: true, agent })).toEqual(['requeueAfter']);
});

test('an agent that is connected and does not have it has nothing of it', () => {
  expect(planned({})).toEqual(['removeFinalizer']);
  expect(planned({ agent: { connected: true, sessions: 'unknown' } })).toEqual(['requeueAfter']);
});

test('a node that is gone does not hold the object', () => {
  expect(planned({ agent: { connected: false, absentMs: 10 }, node: 'absent' })).toEqual([
    'event CleanupNotProven',
    'removeFinalizer',
  ]);
});

test('an agent that is gone holds the object for a minute', () => {
  const node = 'present';
  expect(planned({ session: deleted(placed(), 10), node, agent: { connected: false, absentMs: 90_000 } })).toEqual([
    'requeueAfter',
  ]);
  expect(planned({ session: deleted(placed(), 61), node, agent: { connected: false, absentMs: 10_000 } })).toEqual([
    'requeueAfter',
  ]);
  expect(planned({ session: deleted(placed(), 61), node, agent: { connected: false, absentMs: 61_000 } })).toEqual([
    'event CleanupNotProven',
    'removeFinalizer',
  ]);
});

test('an agent that cannot clean up holds the object for a minute, and the Event says what is left', () => {
  const observed = makeObserved({ phase: 'Finished', leftovers: 'cgroup crashcart/x' });
  expect(planned({ session: deleted(placed(), 10), observed })).toEqual(['removeFromAgent', 'requeueAfter']);
  const actions = plan(makeSituation({ session: deleted(placed(), 60), observed }));
  expect(actions[0]).toMatchObject({ type: 'event', message: expect.stringContaining('cgroup crashcart/x') });
  expect(actions[1]).toEqual({ type: 'removeFinalizer' });
});

test('a clean-up that was proven before the agent went away is enough', () => {
  const proven = {
    type: 'CleanedUp',
    status: 'True',
    reason: 'Proven',
    message: '',
    observedGeneration: 1,
    lastTransitionTime: secondsAgo(9),
  } as const;
  const session = deleted(placed({ phase: 'Finished', conditions: [proven] }));
  expect(planned({ session, agent: { connected: false, absentMs: 0 } })).toEqual(['removeFinalizer']);
});
