import { describe, expect, test } from 'vitest';
import type { ProfileBounds } from '../api/debug-profile.ts';
import type { DebugSessionStatus } from '../api/debug-session.ts';
import { needsPod, plan } from './plan.ts';
import { conditionOf, eventsOf, requeueOf, statusOf, types } from './plan-fixture.ts';
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
import type { Situation } from './situation.ts';

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
