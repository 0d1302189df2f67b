import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DebugSession } from '../../src/api/debug-session.ts';
import { crashcart, getJson, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

nothingLeftAfterEach();

const pod = (name: string, spec: object) =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'tools' },
    spec: { terminationGracePeriodSeconds: 0, ...spec },
  });
const box = (name: string, more: object = {}) => ({
  name,
  image: 'localhost/busybox:1',
  imagePullPolicy: 'IfNotPresent',
  command: ['sleep', '1000000'],
  ...more,
});

beforeAll(async () => {
  const pods = [
    pod('done', { restartPolicy: 'Never', containers: [box('box', { command: ['true'] })] }),
    pod('waiting', { containers: [box('box', { image: 'localhost/nowhere:1', imagePullPolicy: 'Never' })] }),
    pod('unscheduled', { nodeSelector: { nowhere: 'true' }, containers: [box('box')] }),
    pod('own', {
      containers: [
        box('box', {
          command: ['sh', '-c', 'mkdir -p /dev/crashcart && echo mine > /dev/crashcart/mine && exec sleep 1000000'],
        }),
      ],
    }),
  ];
  for (const each of pods) expect(await kubectl(['apply', '-f', '-'], { input: each })).toMatchObject({ code: 0 });
  expect(
    await kubectl(['wait', '-n', 'tools', 'pod/done', '--for=jsonpath={.status.phase}=Succeeded', '--timeout=60s']),
  ).toMatchObject({ code: 0 });
  expect(await kubectl(['wait', '-n', 'tools', 'pod/own', '--for=condition=Ready', '--timeout=60s'])).toMatchObject({
    code: 0,
  });
});

afterAll(async () => {
  await kubectl(['delete', 'pod', '-n', 'tools', 'done', 'waiting', 'unscheduled', 'own', '--wait=false']);
});

/** One sentence on standard error, no stack, and a code that is not 0. */
async function refused(args: readonly string[], message: RegExp, code?: number): Promise<void> {
  const result = await crashcart(args);
  expect(result.stderr).toMatch(message);
  expect(result.stderr).not.toMatch(/^\s+at .*\(.*:\d+:\d+\)/m);
  expect(result.stderr.trim().split('\n').length).toBeLessThanOrEqual(3);
  if (code === undefined) expect(result.code).not.toBe(0);
  else expect(result.code).toBe(code);
}

/** What `kubectl apply` users see: the reason in the object's conditions. */
async function failsWith(name: string, spec: object, reason: string, message: RegExp): Promise<void> {
  const manifest = {
    apiVersion: 'crashcart.dev/v1alpha1',
    kind: 'DebugSession',
    metadata: { name, namespace: 'tools' },
    spec,
  };
  expect(await kubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest) })).toMatchObject({ code: 0 });
  await eventually(async () => {
    const session = await getJson<DebugSession>(['get', 'dbg', name, '-n', 'tools']);
    expect(session.status?.phase).toBe('Failed');
    const ready = session.status?.conditions?.find((condition) => condition.type === 'Ready');
    expect(ready).toMatchObject({ status: 'False', reason });
    expect(ready?.message).toMatch(message);
  }, 40_000);
  expect(await kubectl(['delete', 'dbg', name, '-n', 'tools', '--timeout=20s'])).toMatchObject({ code: 0 });
}

test('no such pod', async () => {
  await refused(
    ['pod/absent', '-n', 'tools', '--', 'true'],
    /absent.*(not found|no pod|does not exist)|no pod .*absent/i,
  );
  await failsWith('no-pod', { target: { pod: { name: 'absent' } } }, 'PodNotFound', /absent/);
});

test('a container that must be named is asked for by the names there are', async () => {
  await refused(['pod/pair', '-n', 'tools', '--', 'true'], /left.*right/);
  await failsWith('ambiguous', { target: { pod: { name: 'pair' } } }, 'ContainerAmbiguous', /left.*right/);
  expect(await crashcart(['pod/pair', '-n', 'tools', '-c', 'right', '--', 'true'])).toMatchObject({ code: 0 });
});

test('a container that is not in the pod', async () => {
  await refused(['pod/pair', '-n', 'tools', '-c', 'middle', '--', 'true'], /middle.*left.*right|middle/);
  await failsWith(
    'absent-container',
    { target: { pod: { name: 'pair', container: 'middle' } } },
    'ContainerNotFound',
    /middle/,
  );
});

test('a container that does not run, a pod that has finished, a pod without a node', async () => {
  await refused(['pod/waiting', '-n', 'tools', '--', 'true'], /waiting|not running/);
  await refused(['pod/done', '-n', 'tools', '--', 'true'], /done.*(finished|Succeeded|completed)/i);
  await refused(['pod/unscheduled', '-n', 'tools', '--', 'true'], /unscheduled.*(scheduled|node)/i);
});

test('an unknown toolbox is refused with the names of those that are there', async () => {
  await refused(['pod/box', '-n', 'tools', '--toolbox', 'plumbing', '--', 'true'], /plumbing/);
  await failsWith(
    'no-toolbox',
    { target: { pod: { name: 'box' } }, toolbox: 'plumbing' },
    'ToolboxNotFound',
    /plumbing.*default/,
  );
});

test('a container with a /dev/crashcart of its own keeps it', async () => {
  await refused(['pod/own', '-n', 'tools', '--visibility', 'Container', '--', 'true'], /\/dev\/crashcart/);
  const kept = await kubectl(['exec', '-n', 'tools', 'own', '--', 'cat', '/dev/crashcart/mine']);
  expect(kept.stdout).toBe('mine\n');
});

test('a command that does not exist is 127, one that cannot run is 126, as a shell says', async () => {
  await refused(['pod/box', '-n', 'tools', '--', 'no-such-tool'], /no-such-tool.*not found/, 127);
  await refused(['pod/box', '-n', 'tools', '--', '/etc'], /\/etc/, 126);
});

test('a session that has ended cannot be opened again, and says how it ended', async () => {
  const manifest = {
    apiVersion: 'crashcart.dev/v1alpha1',
    kind: 'DebugSession',
    metadata: { name: 'short', namespace: 'tools' },
    spec: { target: { pod: { name: 'box' } }, maxDuration: '1s' },
  };
  expect(await kubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest) })).toMatchObject({ code: 0 });
  await eventually(async () => {
    const session = await getJson<DebugSession>(['get', 'dbg', 'short', '-n', 'tools']);
    expect(session.status).toMatchObject({ phase: 'Finished', exit: { reason: 'MaxDurationExceeded' } });
  });
  const result = await crashcart(['attach', 'short', '-n', 'tools']);
  expect(result.code).not.toBe(0);
  expect(result.stderr).toMatch(/MaxDurationExceeded|longest duration|maxDuration|1s/);
  expect(await crashcart(['rm', 'short', '-n', 'tools'])).toMatchObject({ code: 0 });
  await refused(['attach', 'short', '-n', 'tools'], /short/);
});

test('a finished session is deleted when its time to live is over', async () => {
  const manifest = {
    apiVersion: 'crashcart.dev/v1alpha1',
    kind: 'DebugSession',
    metadata: { name: 'fleeting', namespace: 'tools' },
    spec: { target: { pod: { name: 'box' } }, tty: false, command: ['true'], ttlAfterFinished: '1s' },
  };
  expect(await kubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest) })).toMatchObject({ code: 0 });
  await eventually(async () => {
    const found = await kubectl(['get', 'dbg', 'fleeting', '-n', 'tools', '--ignore-not-found', '-o', 'name']);
    expect(found).toMatchObject({ code: 0, stdout: '' });
  });
});

test('a shell that nobody touches ends by its idle timeout', async () => {
  const manifest = {
    apiVersion: 'crashcart.dev/v1alpha1',
    kind: 'DebugSession',
    metadata: { name: 'idle', namespace: 'tools' },
    spec: { target: { pod: { name: 'box' } }, idleTimeout: '2s' },
  };
  expect(await kubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest) })).toMatchObject({ code: 0 });
  await eventually(async () => {
    const session = await getJson<DebugSession>(['get', 'dbg', 'idle', '-n', 'tools']);
    expect(session.status).toMatchObject({ phase: 'Finished', exit: { reason: 'IdleTimeout' } });
  });
  await kubectl(['delete', 'dbg', 'idle', '-n', 'tools', '--timeout=20s']);
});

test('the container exits while somebody is in it', async () => {
  const name = 'brief';
  expect(
    await kubectl(['apply', '-f', '-'], {
      input: pod(name, { restartPolicy: 'Never', containers: [box('box', { command: ['sleep', '8'] })] }),
    }),
  ).toMatchObject({ code: 0 });
  expect(await kubectl(['wait', '-n', 'tools', `pod/${name}`, '--for=condition=Ready', '--timeout=30s'])).toMatchObject(
    { code: 0 },
  );
  const result = await crashcart([`pod/${name}`, '-n', 'tools', '--', 'sleep', '1000']);
  expect(result.code).not.toBe(0);
  expect(result.stderr).toMatch(/container.*(exited|ended)|ContainerExited/i);
  await kubectl(['delete', 'pod', name, '-n', 'tools', '--wait=false']);
});
