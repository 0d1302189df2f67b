import { afterAll, beforeAll, expect, test } from 'vitest';
import { must, type Spec, session } from '../support/dry-run.ts';
import { kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';

// What can be done to a session once it exists: found, listed, deleted, but not changed. It runs in a real pod, so that nothing but
// the last step ends it.

const running = session(
  { maxDuration: '10m', idleTimeout: '10m' },
  { name: 'stays', namespace: 'tools', finalizers: ['crashcart.dev/session'] },
);
const target = { target: { pod: { name: 'box' } } };

beforeAll(async () => {
  await must(
    'create',
    'clusterrole',
    'changes-sessions',
    '--verb=get,patch,update',
    '--resource=debugsessions.crashcart.dev',
  );
  const object = { ...running, spec: { ...(running['spec'] as Spec), ...target } };
  const { code, stderr } = await kubectl(['create', '-f', '-'], { input: JSON.stringify(object) });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  await must('create', 'rolebinding', 'pat-sessions', '--clusterrole=changes-sessions', '--user=pat', '-n', 'tools');
});

afterAll(async () => {
  await kubectl(['delete', 'rolebinding', 'pat-sessions', '-n', 'tools']);
  await kubectl(['delete', 'clusterrole', 'changes-sessions']);
  expect(await kubectl(['delete', 'debugsession', 'stays', '-n', 'tools', '--timeout=60s'])).toMatchObject({
    code: 0,
  });
});

test.each<[string, Spec]>([
  ['its command', { command: ['id'] }],
  ['its profile', { profile: 'sysadmin' }],
  ['its target', { target: { pod: { name: 'other' } } }],
  ['its time to be idle', { idleTimeout: '24h' }],
  ['its grace', { detachGrace: '24h' }],
])('cannot be given another spec: %s', async (_, spec) => {
  const { code, stderr } = await kubectl([
    'patch',
    'dbg',
    'stays',
    '-n',
    'tools',
    '--type=merge',
    '-p',
    JSON.stringify({ spec }),
  ]);
  expect(stderr).toMatch(
    /of the spec of a DebugSession only maxDuration can be changed; delete the session and create another one/,
  );
  expect(code).toBe(1);
});

test('is found by its pod, and not by another one', async () => {
  const find = async (selector: string): Promise<string> =>
    (await must('get', 'dbg', '-n', 'tools', '-o', 'name', `--field-selector=${selector}`)).trim();
  expect(await find('spec.target.pod.name=box')).toContain('debugsession.crashcart.dev/stays');
  expect(await find('spec.target.pod.name=other')).toBe('');
  expect(await find('status.nodeName=nowhere,status.phase=Running')).toBe('');
});

test('is listed with its target, node, phase, exit code and age', async () => {
  const [header, line] = (await must('get', 'dbg', 'stays', '-n', 'tools')).split('\n');
  expect(header?.split(/\s+/)).toEqual(['NAME', 'TARGET', 'NODE', 'PHASE', 'EXIT', 'AGE']);
  expect(line).toMatch(/^stays\s+box\s/);
});

test('keeps its finalizer from whoever may change it but not free it', async () => {
  const patch = ['patch', 'dbg', 'stays', '-n', 'tools', '--type=merge', '-p'];
  await eventually(async () =>
    expect(await kubectl(['auth', 'can-i', 'patch', 'dbg', '-n', 'tools'], { as: 'pat' })).toMatchObject({ code: 0 }),
  );
  expect(await kubectl([...patch, '{"metadata":{"labels":{"seen":"yes"}}}'], { as: 'pat' })).toMatchObject({
    code: 0,
  });
  const { code, stderr } = await kubectl([...patch, '{"metadata":{"finalizers":null}}'], { as: 'pat' });
  expect(stderr).toMatch(/is taken off by the controller once nothing of the session is left on its node/);
  expect(code).toBe(1);
  expect(await kubectl([...patch, '{"metadata":{"finalizers":null}}', '--dry-run=server'])).toMatchObject({
    code: 0,
  });
});
