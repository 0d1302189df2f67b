import { describe, expect, test } from 'vitest';
import type { DebugSessionSpec } from '../api/debug-session.ts';
import type { ObservedSession } from '../wire/agent-protocol.ts';
import { plan } from './plan.ts';
import { makeObserved, makeProfile, makeSession, makeSituation, placed, secondsAgo } from './session-fixture.ts';
import type { Action, Situation } from './situation.ts';

const hour = 3_600_000;
const situation = (
  asked: string,
  observed: Partial<ObservedSession>,
  more: Partial<Situation> = {},
  spec: Partial<DebugSessionSpec> = { extendedBy: { username: 'bob' } },
): Situation =>
  makeSituation({
    session: makeSession({
      spec: { maxDuration: asked, ...spec },
      status: placed({ phase: 'Running', startedAt: secondsAgo(5), maxDuration: '1h', profileGeneration: 1 }),
    }),
    observed: makeObserved({ maxDurationMs: hour, ...observed }),
    ...more,
  });
const extension = (actions: readonly Action[]): number | undefined =>
  actions.flatMap((each) => (each.type === 'extend' ? [each.desired.maxDurationMs] : []))[0];
const told = (actions: readonly Action[]): string | undefined =>
  actions.flatMap((each) => (each.type === 'extend' ? [`${each.told.about} ${each.told.message}`] : []))[0];
const written = (actions: readonly Action[]): string | undefined =>
  actions.flatMap((each) => (each.type === 'patchStatus' ? [each.status.maxDuration] : []))[0];

describe('a maxDuration that was made longer', () => {
  test('is told to the agent that has the session, for the container that it is in', () => {
    const actions = plan(situation('2h', {}));
    expect(actions[0]).toMatchObject({
      type: 'extend',
      node: 'node-a',
      desired: { maxDurationMs: 2 * hour, pod: { uid: 'pod-1' }, container: { name: 'app', id: 'containerd://app' } },
    });
    expect(written(actions)).toBe('1h');
  });

  test('is written into the status once the agent counts by it, and told no more', () => {
    const actions = plan(situation('2h', { maxDurationMs: 2 * hour }));
    expect(extension(actions)).toBeUndefined();
    expect(written(actions)).toBe('2h');
  });

  test('reaches as far as the profile lets it', () => {
    const profile = makeProfile({ maxDuration: '90m' });
    expect(extension(plan(situation('2h', {}, { profile })))).toBe(1.5 * hour);
    expect(extension(plan(situation('2h', { maxDurationMs: 1.5 * hour }, { profile })))).toBeUndefined();
  });

  test('counts for a session that is still being prepared', () => {
    expect(extension(plan(situation('2h', { phase: 'Preparing' })))).toBe(2 * hour);
  });
});

test.each<[string, Situation]>([
  ['an agent that counts by more already', situation('1h', { maxDurationMs: 3 * hour })],
  ['an agent that does not say by what it counts', situation('2h', { maxDurationMs: undefined as never })],
  ['a session that has ended', situation('2h', { phase: 'Finished', cleanedUp: true })],
  ['a profile that is no longer there', situation('2h', {}, { profile: 'absent' })],
  [
    'a profile that allows less than when the session began',
    situation('2h', {}, { profile: makeProfile({ maxDuration: '10m' }) }),
  ],
])('nothing is told to %s', (_, given) => {
  expect(extension(plan(given))).toBeUndefined();
});

describe('what is told of it, on session and pod, once its agent has accepted', () => {
  test('who, how much more, how long in all, and until when', () => {
    expect(told(plan(situation('1h30m', {})))).toBe(
      'session-and-pod debug session look of alice was extended by bob: 30m more, it may last 1h30m, until 2026-11-24T11:29:55Z',
    );
  });

  test('as much as the profile allows, when that is less than was asked for', () => {
    const profile = makeProfile({ maxDuration: '90m' });
    expect(told(plan(situation('2h', {}, { profile })))).toMatch(/by bob: 30m more, it may last 1h30m, until/);
  });

  test('nobody, where only the profile has come to allow more', () => {
    expect(told(plan(situation('2h', {}, {}, {})))).toMatch(/of alice was extended: 1h more, it may last 2h/);
  });

  test('of one that is still being prepared there is no end to tell', () => {
    const given = situation('2h', { phase: 'Preparing' });
    const session = { ...given.session, status: placed() };
    expect(told(plan({ ...given, session }))).toMatch(/by bob: 1h more, it may last 2h, from its start$/);
  });

  test('of one that no agent has yet, that it was, as soon as it is handed over', () => {
    const session = makeSession({ spec: { maxDuration: '2h', extendedBy: { username: 'bob' } } });
    const events = plan(makeSituation({ session })).flatMap((each) => (each.type === 'event' ? [each] : []));
    expect(events).toEqual([
      {
        type: 'event',
        about: 'session-and-pod',
        level: 'Normal',
        reason: 'DebugSessionExtended',
        message: 'debug session look of alice was extended by bob before it began: it may last 2h from its start',
      },
    ]);
  });
});
