import { afterAll, beforeAll, expect, test } from 'vitest';
import { secretDigest } from '../../src/api/debug-attachment.ts';
import { must } from '../support/dry-run.ts';
import { cluster, crashcart, crashcartTerminal, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { installCrashcart } from '../support/install.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';
import { quick } from './values.ts';

// attach.mode Ticket: the same installation without an APIService, and back.
nothingLeftAfterEach();

const install = (...values: string[]): Promise<void> =>
  installCrashcart({ ...cluster().tools, kubeconfig: cluster().kubeconfig, values: [...quick, ...values] });

const tickets = async (): Promise<readonly string[]> =>
  (await kubectl(['get', 'debugattachments', '-A', '-o', 'name'])).stdout.split('\n').filter((line) => line !== '');

beforeAll(async () => {
  await install('attach.mode=Ticket');
  await must('create', 'role', 'execs', '-n', 'tools', '--verb=create', '--resource=pods/exec');
  await must('create', 'rolebinding', 'doro-execs', '-n', 'tools', '--role=execs', '--user=doro');
  await must('create', 'rolebinding', 'doro', '-n', 'tools', '--clusterrole=crashcart-user', '--user=doro');
}, 240_000);

afterAll(async () => {
  await kubectl(['delete', 'rolebinding', 'doro', 'doro-execs', '-n', 'tools']);
  await kubectl(['delete', 'role', 'execs', '-n', 'tools']);
  await install();
  expect((await crashcart(['pod/box', '-n', 'tools', '--', 'echo', 'aggregated again'])).stdout).toBe(
    'aggregated again\n',
  );
}, 240_000);

test('there is no APIService, and a command runs all the same, its input, output, errors and exit code apart', async () => {
  const services = await must('get', 'apiservices', '-o', 'name');
  expect(services).not.toContain('subresources.crashcart.dev');
  const script = 'cat; echo wrong >&2; exit 7';
  const input = 'x'.repeat(3_000_000);
  const ran = await crashcart(['pod/box', '-n', 'tools', '-i', '--', 'sh', '-c', script], { input, as: 'doro' });
  expect(ran.code).toBe(7);
  expect(ran.stdout).toBe(input);
  expect(ran.stderr).toContain('wrong\n');
  expect(await tickets()).toEqual([]);
});

test('a shell in a terminal, which comes back when its replica of the gateway goes', async () => {
  using terminal = crashcartTerminal(['pod/box', '-n', 'tools', '--as', 'doro']);
  await terminal.expect(/box/, 30_000);
  terminal.enter('echo "$((40+2)) here"');
  await terminal.expect(/42 here/);
  // Not all at once: the ones that stay take over.
  await must('rollout', 'restart', '-n', 'crashcart-system', 'deployment/crashcart-controller');
  await must('rollout', 'status', '-n', 'crashcart-system', 'deployment/crashcart-controller', '--timeout=100s');
  await terminal.expect(/connected again/, 60_000);
  terminal.enter('echo "$((50+2)) still"; exit 3');
  await terminal.expect(/52 still/, 30_000);
  expect(await terminal.exit(30_000)).toBe(3);
  expect(await tickets()).toEqual([]);
}, 240_000);

test('a recording is read through it', async () => {
  const profile = { apiVersion: 'crashcart.dev/v1alpha1', kind: 'DebugProfile', metadata: { name: 'recorded-door' } };
  const spec = { description: 'For the test of the front door.', recording: 'Full' };
  const input = JSON.stringify({ ...profile, spec });
  expect(await kubectl(['apply', '-f', '-'], { input })).toMatchObject({ code: 0 });
  try {
    using terminal = crashcartTerminal(['pod/box', '-n', 'tools', '--profile', 'recorded-door']);
    await terminal.expect(/box/, 30_000);
    terminal.enter('echo "$((60+2)) in $CRASHCART_SESSION."');
    const [, name = ''] = await terminal.expect(/62 in tools\/([\w-]+)\./);
    terminal.enter('exit');
    expect(await terminal.exit(30_000)).toBe(0);
    const replayed = await crashcart(['replay', name, '-n', 'tools']);
    expect(replayed).toMatchObject({ code: 0, stdout: expect.stringContaining(`62 in tools/${name}.`) });
  } finally {
    await kubectl(['delete', 'debugprofile', 'recorded-door']);
  }
  expect(await tickets()).toEqual([]);
});

test('who has not the right to attach gets nothing by a ticket', async () => {
  await must('create', 'rolebinding', 'ella', '-n', 'tools', '--clusterrole=crashcart-observer', '--user=ella');
  try {
    const manifest = {
      apiVersion: 'crashcart.dev/v1alpha1',
      kind: 'DebugSession',
      metadata: { name: 'not-ellas', namespace: 'tools' },
      spec: { target: { pod: { name: 'box' } } },
    };
    expect(await kubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest) })).toMatchObject({ code: 0 });
    const tried = await crashcart(['attach', 'not-ellas', '-n', 'tools'], { as: 'ella' });
    expect(tried.code).not.toBe(0);
    expect(tried.stderr).toMatch(/ella may not create debugsessions\.subresources\.crashcart\.dev\/attach/);
    const stranger = await crashcart(['attach', 'not-ellas', '-n', 'tools'], { as: 'nobody-known' });
    expect(stranger.code).not.toBe(0);
    expect(stranger.stderr).toMatch(/not allowed|cannot/);
  } finally {
    await kubectl(['delete', 'dbg', 'not-ellas', '-n', 'tools']);
    await kubectl(['delete', 'rolebinding', 'ella', '-n', 'tools']);
  }
  expect(await tickets()).toEqual([]);
});

test('a ticket cannot name another person, fewer groups, or be changed', async () => {
  const ticket = (requestedBy: object, name = 'forged') =>
    JSON.stringify({
      apiVersion: 'crashcart.dev/v1alpha1',
      kind: 'DebugAttachment',
      metadata: { name, namespace: 'tools' },
      spec: { sessionName: 'any', secretSHA256: secretDigest('secret'), requestedBy },
    });
  const create = (requestedBy: object, ...flags: string[]) =>
    kubectl(['create', '-f', '-', '--as', 'doro', ...flags], { input: ticket(requestedBy) });
  const groups = ['system:authenticated'];
  expect((await create({ username: 'system:admin', groups })).stderr).toMatch(/names system:admin, but .* by doro/);
  expect((await create({ username: 'doro', groups: ['system:masters', ...groups] })).stderr).toMatch(
    /the groups of doro/,
  );
  expect((await create({ username: 'doro' })).stderr).toMatch(/the groups of doro/);
  expect((await create({ username: 'doro', groups, uid: '1' })).code).not.toBe(0);
  const scopes = { 'scopes.example': ['all'] };
  expect((await create({ username: 'doro', groups, extra: scopes })).stderr).toMatch(/what else/);
  // A token whose scopes are fewer cannot be shown without them.
  const scoped = ['--as-user-extra', 'scopes.example=all'];
  expect((await create({ username: 'doro', groups }, ...scoped)).stderr).toMatch(/what else/);
  expect(await create({ username: 'doro', groups, extra: scopes }, ...scoped)).toMatchObject({ code: 0 });
  const patch = ['--type=merge', '-p', '{"spec":{"requestedBy":{"username":"admin"}}}'];
  expect((await kubectl(['patch', 'debugattachment', 'forged', '-n', 'tools', ...patch])).stderr).toMatch(
    /cannot be changed/,
  );
  await must('delete', 'debugattachment', 'forged', '-n', 'tools');
});

test('the doctor knows the front door, for an administrator and for a user', async () => {
  const { code, stdout } = await crashcart(['doctor', '-n', 'tools']);
  expect(stdout).not.toMatch(/FAULT|warning|unknown /);
  expect(stdout).toMatch(/ok +front door: the gateway is reached/);
  expect(stdout).toMatch(/ok +certificates: the authority is valid until/);
  expect(code).toBe(0);
  const user = await crashcart(['doctor', '-n', 'tools'], { as: 'doro' });
  expect(user.stdout).toMatch(/ok +right: you may create debugattachments/);
  expect(user.stdout).not.toMatch(/FAULT/);
});

test('with every replica gone the sessions wait, and no namespace does', async () => {
  const scale = (replicas: number) =>
    must('scale', '-n', 'crashcart-system', 'deployment/crashcart-controller', `--replicas=${replicas}`);
  await must('create', 'namespace', 'bystander');
  await scale(0);
  try {
    await must(
      'wait',
      '-n',
      'crashcart-system',
      'pod',
      '-l',
      'app.kubernetes.io/component=controller',
      '--for=delete',
      '--timeout=60s',
    );
    await must('delete', 'namespace', 'bystander', '--timeout=60s');
  } finally {
    await scale(2);
    await must('rollout', 'status', '-n', 'crashcart-system', 'deployment/crashcart-controller', '--timeout=100s');
  }
  await eventually(async () => {
    const ran = await crashcart(['pod/box', '-n', 'tools', '--', 'echo', 'back']);
    expect(ran.stdout).toBe('back\n');
  }, 30_000);
}, 240_000);
