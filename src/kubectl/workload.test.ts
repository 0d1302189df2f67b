import { expect, test } from 'vitest';
import { parseTarget } from './target.ts';
import { type Pod, pickPod, selectorOf } from './workload.ts';

function pod(name: string, { start = '', phase = 'Running', ready = true, waiting = '', deleted = false } = {}): Pod {
  return {
    metadata: { name, ...(deleted ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}) },
    status: {
      phase,
      startTime: start,
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
      containerStatuses: waiting ? [{ state: { waiting: { reason: waiting } } }] : [],
    },
  };
}

test('the ready pod that started last is taken', () => {
  const pods = [
    pod('old', { start: '2026-01-01T00:00:00Z' }),
    pod('new', { start: '2026-01-03T00:00:00Z' }),
    pod('middle', { start: '2026-01-02T00:00:00Z' }),
    pod('broken', { start: '2026-01-04T00:00:00Z', ready: false }),
    pod('leaving', { start: '2026-01-05T00:00:00Z', deleted: true }),
    pod('pending', { start: '2026-01-06T00:00:00Z', phase: 'Pending' }),
  ];
  expect(pickPod(pods, 'deployment/web')).toEqual({ pod: 'new', ready: true, of: 3 });
});

test('where none is ready, a running one is better than none', () => {
  expect(pickPod([pod('a', { ready: false })], 'deployment/web')).toEqual({ pod: 'a', ready: false, of: 1 });
});

test('no running pod is an error that says how they are', () => {
  const pods = [
    pod('a', { phase: 'Pending', waiting: 'ImagePullBackOff' }),
    pod('b', { phase: 'Pending', waiting: 'ImagePullBackOff' }),
    pod('c', { phase: 'Failed' }),
    pod('d', { deleted: true }),
  ];
  expect(() => pickPod(pods, 'deployment/web')).toThrow(
    'deployment/web has no running pod to enter, its pods are 2 ImagePullBackOff, 1 Failed, 1 Terminating: see "kubectl get pods"',
  );
  expect(() => pickPod([], 'service/web')).toThrow(/it has no pods/);
});

test('both forms of a selector are understood', () => {
  const matchExpressions = [
    { key: 'tier', operator: 'In', values: ['a', 'b'] },
    { key: 'env', operator: 'NotIn', values: ['dev'] },
    { key: 'live', operator: 'Exists' },
    { key: 'old', operator: 'DoesNotExist' },
  ];
  const deployment = { spec: { selector: { matchLabels: { app: 'web' }, matchExpressions } } };
  expect(selectorOf(deployment, { kind: 'deployments', name: 'web' })).toBe(
    'app=web,tier in (a,b),env notin (dev),live,!old',
  );
  expect(selectorOf({ spec: { selector: { app: 'web' } } }, { kind: 'services', name: 'web' })).toBe('app=web');
  expect(() => selectorOf({ spec: {} }, { kind: 'services', name: 'web' })).toThrow(/selects no pods by labels/);
});

test.each([
  ['web-0', { type: 'pod', name: 'web-0' }],
  ['pod/web-0', { type: 'pod', name: 'web-0' }],
  ['deploy/web', { type: 'workload', kind: 'deployments', name: 'web' }],
  ['deployment.apps/web', { type: 'workload', kind: 'deployments', name: 'web' }],
  ['sts/db', { type: 'workload', kind: 'statefulsets', name: 'db' }],
  ['job/once', { type: 'workload', kind: 'jobs', name: 'once' }],
  ['svc/web', { type: 'workload', kind: 'services', name: 'web' }],
])('%s is a target', (text, target) => {
  expect(parseTarget(text)).toEqual(target);
});

test.each(['', 'Web', 'pod/', '/x', 'a/b/c', '../../secrets', 'secret/x'])('%j is refused as a target', (text) => {
  expect(() => parseTarget(text)).toThrow(/names no pod|is not a kind/);
});
