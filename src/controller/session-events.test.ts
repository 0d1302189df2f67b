import { expect, test } from 'vitest';
import { type Reason, reasons } from '../base/errors.ts';
import { transitionEvents } from './session-events.ts';
import { makeObserved, makeSession, nowMs, placed, secondsAgo } from './session-fixture.ts';
import { StatusBuilder } from './status.ts';

const session = makeSession({ spec: { reason: 'OPS-7' }, status: placed({ phase: 'Running' }) });
const ended = (reason: Reason, podTold: boolean) => {
  const exit = { code: 3, reason, at: secondsAgo(2) };
  const observed = makeObserved({ phase: 'Finished', startedAt: secondsAgo(65), exit, cleanedUp: true });
  return transitionEvents(session, new StatusBuilder(session, nowMs).observed(observed).build(), podTold);
};

test('the pod’s owner is told who came in, with which profile and why', () => {
  const preparing = makeSession({ spec: { reason: 'OPS-7' }, status: placed() });
  const status = new StatusBuilder(preparing, nowMs).observed(makeObserved()).build();
  expect(transitionEvents(preparing, status, false)).toEqual([
    {
      type: 'event',
      about: 'pod',
      level: 'Normal',
      reason: 'DebugSessionStarted',
      message: 'debug session look of alice runs in container "app" with profile general, because: OPS-7',
    },
  ]);
});

test('the end says everything: who, where, from when, how long, how it ended, with which profile and why', () => {
  expect(ended(reasons.Completed, true)).toMatchObject([
    {
      reason: 'DebugSessionEnded',
      message: `debug session look of alice in container "app", from ${secondsAgo(65)} for 1m3s: the session has ended with code 3; it ran with profile general, because: OPS-7`,
    },
  ]);
});

test.each<[string, Reason, boolean, string]>([
  ['by itself, where the pod was told of its start', reasons.Completed, true, 'session'],
  ['by itself, where the pod knows nothing', reasons.Completed, false, 'session-and-pod'],
  ['by its longest duration', reasons.MaxDurationExceeded, true, 'session-and-pod'],
  ['because nobody used it', reasons.IdleTimeout, true, 'session-and-pod'],
  ['because somebody deleted it', reasons.Deleted, true, 'session-and-pod'],
  ['with its container', reasons.ContainerExited, true, 'session-and-pod'],
])('an end %s is told to the %4$s', (_, reason, podTold, about) => {
  expect(ended(reason, podTold)).toMatchObject([{ about }]);
});

test('a failure says who asked for what, to both', () => {
  const preparing = makeSession({ spec: { reason: 'OPS-7' } });
  const failure = { reason: reasons.NoAgent, message: 'no agent' };
  const status = new StatusBuilder(preparing, nowMs).failed(failure).build();
  expect(transitionEvents(preparing, status, false)).toMatchObject([
    {
      about: 'session-and-pod',
      level: 'Warning',
      reason: 'NoAgent',
      message: 'debug session look of alice: no agent; it was asked for with profile general, because: OPS-7',
    },
  ]);
});
