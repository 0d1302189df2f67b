import { expect, test } from 'vitest';
import { parseDebugSession } from './parse.ts';

const minimal = {
  apiVersion: 'crashcart.dev/v1alpha1',
  kind: 'DebugSession',
  metadata: {
    name: 's',
    namespace: 'shop',
    uid: 'u',
    resourceVersion: '1',
    generation: 1,
    creationTimestamp: '2026-11-24T00:00:00Z',
    managedFields: [{ manager: 'x' }],
  },
  spec: { target: { pod: { name: 'web' } } },
};

test('what the schema defaults is filled in, what we do not use is dropped', () => {
  const session = parseDebugSession(minimal);
  expect(session.spec).toEqual({
    target: { pod: { name: 'web' } },
    toolbox: 'default',
    profile: 'general',
    tty: true,
    stdin: false,
    visibility: 'Session',
    maxDuration: '1h',
    idleTimeout: '15m',
    detachGrace: '1h',
    ttlAfterFinished: '1h',
  });
  expect(session.metadata).not.toHaveProperty('managedFields');
  expect(session).not.toHaveProperty('status');
});

test('a full object comes back as it is', () => {
  const full = {
    ...minimal,
    metadata: {
      ...parseDebugSession(minimal).metadata,
      deletionTimestamp: '2026-11-24T00:00:01Z',
      finalizers: ['crashcart.dev/session'],
      labels: { a: '' },
      annotations: { b: 'c' },
    },
    spec: {
      ...parseDebugSession(minimal).spec,
      target: { pod: { name: 'web', container: 'app' } },
      command: ['ls', '-l'],
      user: { uid: 0, gid: 7 },
      profile: 'night-shift',
      reason: 'INC-7',
      requestedBy: { username: 'alice', uid: '7', groups: ['dev'] },
      extendedBy: { username: 'bob', uid: '8' },
      tty: false,
    },
    status: {
      phase: 'Finished',
      observedGeneration: 1,
      conditions: [
        {
          type: 'Ready',
          status: 'False',
          observedGeneration: 1,
          lastTransitionTime: '2026-11-24T00:00:00Z',
          reason: 'Completed',
          message: '',
        },
      ],
      nodeName: 'n',
      podUID: 'p',
      container: 'app',
      containerID: 'containerd://c',
      startedAt: '2026-11-24T00:00:00Z',
      finishedAt: '2026-11-24T00:00:00Z',
      exit: { code: 137, signal: 'SIGKILL', reason: 'Killed', at: '2026-11-24T00:00:00Z' },
      attach: 'kubectl crashcart attach s -n shop',
    },
  };
  expect(parseDebugSession(full)).toEqual(full);
});

test.each([
  ['object', null],
  ['spec', { ...minimal, spec: [] }],
  ['spec.target.pod.name', { ...minimal, spec: { target: { pod: { name: '' } } } }],
  ['spec.profile', { ...minimal, spec: { target: { pod: { name: 'a' } }, profile: 7 } }],
  ['spec.requestedBy.username', { ...minimal, spec: { target: { pod: { name: 'a' } }, requestedBy: {} } }],
  ['spec.extendedBy.username', { ...minimal, spec: { target: { pod: { name: 'a' } }, extendedBy: { uid: '8' } } }],
  ['spec.command[1]', { ...minimal, spec: { target: { pod: { name: 'a' } }, command: ['ls', 1] } }],
  ['spec.user.uid', { ...minimal, spec: { target: { pod: { name: 'a' } }, user: { uid: '0' } } }],
  ['spec.tty', { ...minimal, spec: { target: { pod: { name: 'a' } }, tty: 'yes' } }],
  ['status.conditions[0].type', { ...minimal, status: { conditions: [{ type: 'Happy' }] } }],
  ['status.exit.code', { ...minimal, status: { exit: { reason: 'Killed', at: 'x' } } }],
  ['metadata.labels.a', { ...minimal, metadata: { ...minimal.metadata, labels: { a: 1 } } }],
])('an error names the place: %s', (path, value) => {
  expect(() => parseDebugSession(value)).toThrow(expect.objectContaining({ name: 'ParseError', path }));
});
