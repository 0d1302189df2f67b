import { describe, expect, test } from 'vitest';
import type { ObservedSession } from '../wire/agent-protocol.ts';
import { plan } from './plan.ts';
import { makeObserved, makeProfile, makeSession, makeSituation, placed, secondsAgo } from './session-fixture.ts';
import type { Action, Situation } from './situation.ts';

const hour = 3_600_000;
const situation = (asked: string, observed: Partial<ObservedSession>, more: Partial<Situation> = {}): Situation =>
  makeSituation({
    session: makeSession({
      spec: { maxDuration: asked },
      status: placed({ phase: 'Running', startedAt: secondsAgo(5), maxDuration: '1h', profileGeneration: 1 }),
    }),
    observed: makeObserved({ maxDurationMs: hour, ...observed }),
    ...more,
  });
const extension = (actions: readonly Action[]): number | undefined =>
  actions.flatMap((each) => (each.type === 'extend' ? [each.desired.maxDurationMs] : []))[0];
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
