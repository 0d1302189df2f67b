import { describe, expect, test } from 'vitest';
import { plan } from './plan.ts';
import { conditionOf, eventsOf, requeueOf, statusOf, types } from './plan-fixture.ts';
import { makeObserved, makeSession, makeSituation, nowMs, placed, secondsAgo } from './session-fixture.ts';
import type { Situation } from './situation.ts';

describe('a node without an agent', () => {
  const agent = { connected: false, absentMs: 3_000 } as const;

  test('is waited for, with the target already written down', () => {
    const session = makeSession({ metadata: { creationTimestamp: secondsAgo(5) } });
    const actions = plan(makeSituation({ session, agent }));
    expect(statusOf(actions)).toMatchObject({ phase: 'Pending', nodeName: 'node-a', podUID: 'pod-1' });
    expect(requeueOf(actions)).toBe(17_000);
  });

  test('fails the session after 20 s and says where to look', () => {
    const session = makeSession({ metadata: { creationTimestamp: secondsAgo(20) } });
    const actions = plan(makeSituation({ session, agent: { connected: false, absentMs: 20_000 } }));
    const status = statusOf(actions);
    expect(conditionOf(status, 'Ready')).toMatchObject({
      reason: 'NoAgent',
      message: expect.stringMatching(/node "node-a".*kubectl get node node-a/),
    });
    expect(conditionOf(status, 'TargetResolved')).toMatchObject({ status: 'True' });
    expect(eventsOf(actions)).toEqual(['Warning NoAgent']);
  });

  test('does not say that nothing was started, when a leader before may have had it started', () => {
    const session = makeSession({ metadata: { creationTimestamp: secondsAgo(20) } });
    const away = { connected: false, absentMs: 20_000 } as const;
    const cleanedUp = (inherited: boolean) =>
      conditionOf(statusOf(plan(makeSituation({ session, agent: away, inherited }))), 'CleanedUp')?.status;
    expect([cleanedUp(true), cleanedUp(false)]).toEqual(['Unknown', 'True']);
  });

  test('counts from the start of this controller, not from the age of an old session', () => {
    const session = makeSession({ metadata: { creationTimestamp: secondsAgo(3_600) } });
    expect(requeueOf(plan(makeSituation({ session, agent })))).toBe(17_000);
  });
});

describe('a session that its agent shows', () => {
  test.each([
    ['Preparing', {}, { phase: 'Preparing' }, []],
    ['Running', {}, { phase: 'Running', startedAt: secondsAgo(5) }, ['Normal DebugSessionStarted']],
    [
      'Finished',
      { exit: { code: 7, reason: 'Completed', at: secondsAgo(1) }, cleanedUp: true },
      { phase: 'Finished', finishedAt: secondsAgo(1), exit: { code: 7, reason: 'Completed', at: secondsAgo(1) } },
      ['Normal DebugSessionEnded'],
    ],
    [
      'Failed',
      { failure: { reason: 'MountPointOccupied', message: 'the container has its own /dev/crashcart' } },
      { phase: 'Failed', finishedAt: secondsAgo(0) },
      ['Warning MountPointOccupied'],
    ],
  ] as const)('%s becomes its status', (phase, observed, status, events) => {
    const session = makeSession({ status: placed() });
    const actions = plan(makeSituation({ session, observed: makeObserved({ phase, ...observed }) }));
    expect(statusOf(actions)).toMatchObject(status);
    expect(eventsOf(actions)).toEqual(events);
  });

  test('is Ready with the command that opens it', () => {
    const status = statusOf(
      plan(makeSituation({ session: makeSession({ status: placed() }), observed: makeObserved() })),
    );
    expect(conditionOf(status, 'Ready')).toMatchObject({
      status: 'True',
      message: 'open it with "kubectl crashcart attach look -n shop"',
    });
  });

  test('keeps lastTransitionTime as long as a condition does not change its status', () => {
    const ready = {
      type: 'Ready',
      status: 'True',
      reason: 'Running',
      message: '',
      observedGeneration: 1,
      lastTransitionTime: secondsAgo(99),
    } as const;
    const session = makeSession({ status: placed({ phase: 'Running', conditions: [ready] }) });
    const same = statusOf(plan(makeSituation({ session, observed: makeObserved() })));
    expect(conditionOf(same, 'Ready')?.lastTransitionTime).toBe(secondsAgo(99));
    const ended = statusOf(plan(makeSituation({ session, observed: makeObserved({ phase: 'Finished' }) })));
    expect(conditionOf(ended, 'Ready')?.lastTransitionTime).toBe(secondsAgo(0));
  });

  test('is looked at again when it should have ended, and ended by the controller half a minute later', () => {
    const session = makeSession({ status: placed({ phase: 'Running' }) });
    const inTime = plan(makeSituation({ session, observed: makeObserved({ startedAt: secondsAgo(3_600) }) }));
    expect(requeueOf(inTime)).toBe(30_000);
    const overdue = plan(makeSituation({ session, observed: makeObserved({ startedAt: secondsAgo(3_631) }) }));
    expect(overdue).toContainEqual({ type: 'removeFromAgent', node: 'node-a', reason: 'MaxDurationExceeded' });
  });
});

describe('an agent that is cut off', () => {
  const session = makeSession({ status: placed({ phase: 'Running', startedAt: secondsAgo(60) }) });

  test('is not remarked upon for ten seconds: a new leader has no agents yet', () => {
    const actions = plan(makeSituation({ session, agent: { connected: false, absentMs: 4_000 } }));
    expect(actions).toEqual([{ type: 'requeueAfter', ms: 6_000 }]);
  });

  test('makes the session unknown', () => {
    const actions = plan(makeSituation({ session, agent: { connected: false, absentMs: 10_000 } }));
    const status = statusOf(actions);
    expect(status.phase).toBe('Running');
    expect(conditionOf(status, 'Ready')).toMatchObject({ status: 'Unknown', reason: 'AgentLost' });
    expect(requeueOf(actions)).toBe(60_000);
  });

  test.each<[string, Partial<Situation>, number]>([
    ['on a node that is there: it goes on without an agent', { node: 'present' }, 300_000],
    ['on a node that was not asked for', { node: 'unknown' }, 300_000],
    ['as long as the installation says', { node: 'present', agentLossMs: 90_000 }, 90_000],
    ['for a minute on a node that is gone', { node: 'absent' }, 60_000],
    [
      'for a minute when it was only being prepared',
      { session: makeSession({ status: placed() }), dispatched: true },
      60_000,
    ],
  ])('is waited for %s', (_, more, lossMs) => {
    const at = (absentMs: number) => plan(makeSituation({ session, agent: { connected: false, absentMs }, ...more }));
    expect(statusOf(at(lossMs - 1)).phase).not.toBe('Failed');
    expect(requeueOf(at(lossMs - 1))).toBe(1);
    expect(statusOf(at(lossMs)).phase).toBe('Failed');
  });

  test('fails it after that', () => {
    const actions = plan(makeSituation({ session, agent: { connected: false, absentMs: 300_000 } }));
    const status = statusOf(actions);
    expect(status.phase).toBe('Failed');
    expect(conditionOf(status, 'Ready')).toMatchObject({
      reason: 'AgentLost',
      message: expect.stringContaining('node "node-a" has been out of reach for 300 s'),
    });
    expect(conditionOf(status, 'CleanedUp')).toMatchObject({ status: 'Unknown' });
  });

  test('and comes back with the session goes on', () => {
    const unknown = {
      type: 'Ready',
      status: 'Unknown',
      reason: 'AgentLost',
      message: '',
      observedGeneration: 1,
      lastTransitionTime: secondsAgo(9),
    } as const;
    const back = makeSession({ status: { ...session.status, conditions: [unknown] } });
    const status = statusOf(plan(makeSituation({ session: back, observed: makeObserved() })));
    expect(conditionOf(status, 'Ready')).toMatchObject({ status: 'True', lastTransitionTime: secondsAgo(0) });
  });

  test('and comes back without the session has been restarted', () => {
    const status = statusOf(plan(makeSituation({ session })));
    expect(status.phase).toBe('Failed');
    expect(conditionOf(status, 'Ready')).toMatchObject({ reason: 'AgentRestarted' });
    expect(conditionOf(status, 'CleanedUp')).toMatchObject({ status: 'True', reason: 'Swept' });
  });

  test('is not judged before its first list has come', () => {
    expect(plan(makeSituation({ session, agent: { connected: true, sessions: 'unknown' } }))).toEqual([]);
  });

  test('is not sent a session a second time after another life of it had accepted it', () => {
    const preparing = makeSession({ status: placed() });
    expect(types(plan(makeSituation({ session: preparing, dispatched: true })))).not.toContain('dispatch');
  });

  test('gets a session again that a former leader had promised and not delivered', () => {
    const preparing = makeSession({ status: placed() });
    expect(types(plan(makeSituation({ session: preparing })))).toContain('dispatch');
    const notListed = { connected: true, sessions: 'unknown' } as const;
    expect(plan(makeSituation({ session: preparing, agent: notListed }))).toEqual([]);
  });

  test('and comes back with a session that was given up is told to end it', () => {
    const given = makeSession({ status: placed({ phase: 'Failed', finishedAt: secondsAgo(1) }) });
    const actions = plan(makeSituation({ session: given, observed: makeObserved() }));
    expect(actions).toContainEqual({ type: 'removeFromAgent', node: 'node-a', reason: 'SessionEnded' });
  });

  test('and comes back after it was given up proves the clean-up', () => {
    const unknown = {
      type: 'CleanedUp',
      status: 'Unknown',
      reason: 'AgentLost',
      message: '',
      observedGeneration: 1,
      lastTransitionTime: secondsAgo(9),
    } as const;
    const given = makeSession({
      status: placed({ phase: 'Failed', finishedAt: secondsAgo(1), conditions: [unknown] }),
    });
    expect(conditionOf(statusOf(plan(makeSituation({ session: given }))), 'CleanedUp')).toMatchObject({
      status: 'True',
      reason: 'Swept',
    });
  });
});

describe('a session that has ended', () => {
  test('stays for its time and is then deleted', () => {
    const kept = makeSession({ status: placed({ phase: 'Finished', finishedAt: secondsAgo(60) }) });
    expect(plan(makeSituation({ session: kept, pod: 'unknown' }))).toEqual([{ type: 'requeueAfter', ms: 540_000 }]);
    const over = makeSession({ status: placed({ phase: 'Finished', finishedAt: secondsAgo(600) }) });
    expect(plan(makeSituation({ session: over, pod: 'unknown' }))).toEqual([{ type: 'deleteObject' }]);
  });

  test('learns what its node could not remove', () => {
    const session = makeSession({ status: placed({ phase: 'Finished', finishedAt: secondsAgo(1) }) });
    const observed = makeObserved({ phase: 'Finished', leftovers: 'mount /dev/crashcart' });
    const status = statusOf(plan(makeSituation({ session, observed })));
    expect(conditionOf(status, 'CleanedUp')).toMatchObject({
      status: 'False',
      reason: 'Leftovers',
      message: expect.stringContaining('mount /dev/crashcart'),
    });
  });
});

test('the plan of a situation does not depend on when it is made a second time', () => {
  const situation = makeSituation({ session: makeSession({ status: placed() }), observed: makeObserved() });
  expect(plan(situation)).toEqual(plan({ ...situation, nowMs }));
});
