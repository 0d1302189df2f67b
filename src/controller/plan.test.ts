import { describe, expect, test } from 'vitest';
import type { ProfileBounds } from '../api/debug-profile.ts';
import type { DebugSessionStatus } from '../api/debug-session.ts';
import { needsPod, plan } from './plan.ts';
import type { Pod } from './pod.ts';
import {
  makeObserved,
  makePod,
  makeProfile,
  makeSession,
  makeSituation,
  nowMs,
  placed,
  running,
  type SessionChanges,
  secondsAgo,
} from './session-fixture.ts';
import type { Action, Situation } from './situation.ts';

const types = (actions: readonly Action[]): string[] => actions.map((each) => each.type);
const statusOf = (actions: readonly Action[]): DebugSessionStatus => {
  const patch = actions.find((each) => each.type === 'patchStatus');
  expect(patch, 'a status is written').toBeDefined();
  return patch!.type === 'patchStatus' ? patch!.status : {};
};
const conditionOf = (status: DebugSessionStatus, type: string) => status.conditions?.find((each) => each.type === type);
const requeueOf = (actions: readonly Action[]): number | undefined =>
  actions.map((each) => (each.type === 'requeueAfter' ? each.ms : undefined)).find((ms) => ms !== undefined);
const eventsOf = (actions: readonly Action[]): string[] =>
  actions.flatMap((each) => (each.type === 'event' ? [`${each.level} ${each.reason}`] : []));

describe('a session’s profile and policies', () => {
  const young = { metadata: { creationTimestamp: secondsAgo(2) } };
  const bounded = (bounds: Partial<ProfileBounds>, spec: SessionChanges['spec'] = {}) =>
    statusOf(plan(makeSituation({ session: makeSession({ spec }), profile: makeProfile(bounds) })));
  const readyOf = (status: DebugSessionStatus) => conditionOf(status, 'Ready');

  test('its rules go to the agent, and their generation into the status', () => {
    const profile = { ...makeProfile(), rules: { ...makeProfile().rules, runAsNonRoot: true } };
    const actions = plan(makeSituation({ profile }));
    expect(actions[0]).toMatchObject({ type: 'dispatch', desired: { profile: 'general', rules: profile.rules } });
    expect(statusOf(actions)).toMatchObject({
      profileGeneration: 3,
      maxDuration: '1h',
      idleTimeout: '15m',
      detachGrace: '1h',
    });
  });

  test('it shortens what asks for more than it allows, and says so', () => {
    const profile = makeProfile({ maxDuration: '10m', idleTimeout: '20m', detachGrace: '5m' });
    const actions = plan(makeSituation({ profile }));
    expect(actions[0]).toMatchObject({
      desired: { maxDurationMs: 600_000, idleTimeoutMs: 900_000, detachGraceMs: 300_000 },
    });
    expect(statusOf(actions)).toMatchObject({ maxDuration: '10m', idleTimeout: '15m', detachGrace: '5m' });
  });

  test.each<[string, Partial<ProfileBounds>, RegExp]>([
    ['a missing reason', { requireReason: true }, /requires a reason/],
    ['a visibility that it does not allow', { visibilities: ['Container'] }, /visibility Session: it allows Container/],
    ['a toolbox that it does not allow', { toolboxes: ['net'] }, /does not allow the toolbox "default": it allows net/],
  ])('it refuses %s', (_, bounds, message) => {
    const status = bounded(bounds);
    expect(status.phase).toBe('Failed');
    expect(readyOf(status)).toMatchObject({ reason: 'ProfileRefused', message: expect.stringMatching(message) });
  });

  test('a reason satisfies it', () => {
    expect(bounded({ requireReason: true }, { reason: 'INC-7' }).phase).toBe('Preparing');
  });

  test('one that is not there is waited for a moment, then named', () => {
    const absent = (seconds: number) =>
      plan(
        makeSituation({
          session: makeSession({ metadata: { creationTimestamp: secondsAgo(seconds) } }),
          profile: 'absent',
        }),
      );
    expect(absent(2)).toEqual([{ type: 'requeueAfter', ms: 3_000 }]);
    expect(readyOf(statusOf(absent(6)))).toMatchObject({ status: 'False', reason: 'ProfileNotFound' });
  });

  test('nothing starts while a policy is missing: it waits, says why, and fails after a minute', () => {
    const policies = { intact: false, why: 'the policy x is missing' } as const;
    const waiting = plan(makeSituation({ session: makeSession(young), policies }));
    expect(types(waiting)).toEqual(['patchStatus', 'event', 'requeueAfter']);
    expect(statusOf(waiting).phase).toBe('Pending');
    expect(readyOf(statusOf(waiting))).toMatchObject({ reason: 'PolicyMissing', message: policies.why });
    expect(eventsOf(waiting)).toEqual(['Warning PolicyMissing']);
    const old = makeSession({ metadata: { creationTimestamp: secondsAgo(61) } });
    const failed = plan(makeSituation({ session: old, policies }));
    expect(statusOf(failed).phase).toBe('Failed');
    expect(types(failed)).not.toContain('dispatch');
  });

  test('one from before the policies were changed last is never started: nobody has checked who asked for it', () => {
    const policies = { intact: true, sinceMs: nowMs - 1_000 } as const;
    const actions = plan(makeSituation({ session: makeSession(young), policies }));
    expect(readyOf(statusOf(actions))).toMatchObject({
      reason: 'PolicyMissing',
      message: expect.stringMatching(/again/),
    });
    expect(types(plan(makeSituation({ session: makeSession(), policies })))).toContain('dispatch');
  });

  test('one that runs already goes on, whatever becomes of profile and policies', () => {
    const session = makeSession({ status: placed({ phase: 'Running' }) });
    const policies = { intact: false, why: 'gone' } as const;
    const actions = plan(makeSituation({ session, observed: makeObserved(), profile: 'absent', policies }));
    expect(statusOf(actions).phase).toBe('Running');
  });
});

describe('a new session', () => {
  test('gets its finalizer before anything else', () => {
    const session = makeSession({ metadata: { finalizers: [] } });
    expect(plan(makeSituation({ session }))).toEqual([{ type: 'addFinalizer' }]);
  });

  test('is dispatched first and written down second, with everything that is pinned', () => {
    const actions = plan(makeSituation());
    expect(types(actions)).toEqual(['dispatch', 'patchStatus']);
    expect(actions[0]).toMatchObject({
      node: 'node-a',
      desired: {
        uid: makeSession().metadata.uid,
        pod: { name: 'web', uid: 'pod-1' },
        container: { name: 'app', id: 'containerd://app' },
        maxDurationMs: 3_600_000,
        idleTimeoutMs: 900_000,
        detachGraceMs: 3_600_000,
      },
    });
    expect(actions[0]).not.toHaveProperty('desired.command');
    const status = statusOf(actions);
    expect(status).toMatchObject({
      ...placed(),
      attach: 'kubectl crashcart attach look -n shop',
      observedGeneration: 1,
    });
    expect(conditionOf(status, 'TargetResolved')).toMatchObject({ status: 'True', observedGeneration: 1 });
    expect(conditionOf(status, 'Ready')).toMatchObject({ status: 'False', reason: 'Preparing' });
  });

  test('asks for its pod when nobody has read it', () => {
    expect(needsPod(makeSession(), undefined)).toBe(true);
    expect(needsPod(makeSession({ status: placed({ phase: 'Running' }) }), undefined)).toBe(false);
    expect(needsPod(makeSession({ status: placed() }), makeObserved())).toBe(false);
    expect(requeueOf(plan(makeSituation({ pod: 'unknown' })))).toBe(0);
  });

  test.each<[string, SessionChanges['spec'], Pod['containers'], Partial<Pod>, string]>([
    ['a single container needs no name', {}, [running('app')], {}, 'app'],
    [
      'init and ephemeral containers do not make it ambiguous',
      {},
      [running('app'), running('i', 'init'), running('e', 'ephemeral')],
      {},
      'app',
    ],
    ['a name is taken', { target: { pod: { name: 'web', container: 'b' } } }, [running('a'), running('b')], {}, 'b'],
    ['the annotation names the default', {}, [running('a'), running('b')], { defaultContainer: 'b' }, 'b'],
    [
      'a name wins over the annotation',
      { target: { pod: { name: 'web', container: 'a' } } },
      [running('a'), running('b')],
      { defaultContainer: 'b' },
      'a',
    ],
    [
      'an init container can be named',
      { target: { pod: { name: 'web', container: 'i' } } },
      [running('app'), running('i', 'init')],
      {},
      'i',
    ],
    [
      'an ephemeral container can be named',
      { target: { pod: { name: 'web', container: 'e' } } },
      [running('app'), running('e', 'ephemeral')],
      {},
      'e',
    ],
  ])('%s', (_title, spec, containers, pod, container) => {
    const actions = plan(
      makeSituation({ session: makeSession(spec ? { spec } : {}), pod: makePod({ containers, ...pod }) }),
    );
    expect(actions[0]).toMatchObject({
      type: 'dispatch',
      desired: { container: { name: container, id: `containerd://${container}` } },
    });
  });
});

describe('bad input', () => {
  interface Row {
    readonly situation: Partial<Situation>;
    readonly reason: string;
    readonly message: RegExp;
  }
  const stopped = (why: string): Pod['containers'] => [{ name: 'app', role: 'app', state: { is: 'other', why } }];
  const wanting = (container: string) => makeSession({ spec: { target: { pod: { name: 'web', container } } } });
  const rows: Record<string, Row> = {
    'no such pod': {
      situation: { pod: 'absent' },
      reason: 'PodNotFound',
      message: /no pod "web" in namespace "shop".*kubectl get pods -n shop/,
    },
    'a pod without a node': {
      situation: { pod: (({ nodeName: _, ...pod }) => pod)(makePod()) },
      reason: 'PodNotScheduled',
      message: /not on a node yet.*kubectl describe pod web -n shop/,
    },
    'a finished pod': {
      situation: { pod: makePod({ phase: 'Succeeded' }) },
      reason: 'PodFinished',
      message: /has finished \(phase Succeeded\).*choose a running pod/,
    },
    'a pod that finished while it was prepared': {
      situation: { session: makeSession({ status: placed() }), pod: makePod({ phase: 'Failed' }) },
      reason: 'PodFinished',
      message: /phase Failed/,
    },
    'a pod that was replaced under the same name': {
      situation: { session: makeSession({ status: placed({ phase: 'Pending' }) }), pod: makePod({ uid: 'pod-2' }) },
      reason: 'PodReplaced',
      message: /was replaced by a new one.*create the session again/,
    },
    'an ambiguous container': {
      situation: { pod: makePod({ containers: [running('a'), running('b'), running('e', 'ephemeral')] }) },
      reason: 'ContainerAmbiguous',
      message: /more than one container, name one of them: "a", "b", "e" \(ephemeral\)/,
    },
    'an absent container': {
      situation: { session: wanting('zzz') },
      reason: 'ContainerNotFound',
      message: /no container "zzz": it has "app"/,
    },
    'a container that is not running': {
      situation: { pod: makePod({ containers: stopped('it is waiting (CrashLoopBackOff)') }) },
      reason: 'ContainerNotRunning',
      message: /"app" .* is not running, it is waiting \(CrashLoopBackOff\).*kubectl describe pod web -n shop/,
    },
    'a refusal of the agent, such as an unknown toolbox': {
      situation: { refusal: { reason: 'ToolboxNotFound', message: 'there is no toolbox "huge"' } },
      reason: 'ToolboxNotFound',
      message: /no toolbox "huge"/,
    },
    'a duration that cannot be read': {
      situation: { session: makeSession({ spec: { maxDuration: '99999999999999h' } }) },
      reason: 'Invalid',
      message: /spec.maxDuration/,
    },
  };

  test.each(Object.entries(rows))(
    '%s fails the session with a sentence and an Event',
    (_title, { situation, reason, message }) => {
      const actions = plan(makeSituation(situation));
      const status = statusOf(actions);
      expect(status.phase).toBe('Failed');
      expect(status.finishedAt).toBe('2026-11-24T10:00:00Z');
      expect(conditionOf(status, 'Ready')).toMatchObject({
        status: 'False',
        reason,
        message: expect.stringMatching(message),
      });
      expect(conditionOf(status, 'CleanedUp')).toMatchObject({ status: 'True', reason: 'NothingStarted' });
      expect(eventsOf(actions)).toEqual([`Warning ${reason}`]);
      expect(types(actions)).not.toContain('dispatch');
    },
  );
});

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
