import { afterAll, expect, test } from 'vitest';
import { cluster, crashcart, crashcartTerminal, getJson, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { installCrashcart } from '../support/install.ts';
import { nodeLeftovers } from '../support/node-leftovers.ts';
import { run } from '../support/run.ts';

const helm = (...args: string[]) =>
  run(cluster().tools.helm, args, { env: { ...process.env, KUBECONFIG: cluster().kubeconfig }, timeoutMs: 200_000 });

/** What stands outside the namespace. */
const ours =
  'crd,apiservice,clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding,mutatingadmissionpolicy,mutatingadmissionpolicybinding';

afterAll(async () => {
  await installCrashcart({ ...cluster().tools, kubeconfig: cluster().kubeconfig });
}, 240_000);

test('helm test runs a real session', async () => {
  const result = await helm('test', 'crashcart', '-n', 'crashcart-system', '--timeout', '2m', '--logs');
  expect(result.stderr).not.toMatch(/Error/);
  expect(result.code).toBe(0);
  expect(result.stdout).toMatch(/Succeeded/);
}, 180_000);

test('helm uninstall, with a session still open: it ends, namespaces can be deleted, and nothing is left', async () => {
  using terminal = crashcartTerminal(['pod/box', '-n', 'tools']);
  await terminal.expect(/box/);
  expect(await kubectl(['create', 'namespace', 'bystander'])).toMatchObject({ code: 0 });
  const result = await helm('uninstall', 'crashcart', '-n', 'crashcart-system', '--wait', '--timeout', '3m');
  expect(result).toMatchObject({ code: 0 });
  expect(await terminal.exit(30_000)).not.toBe(0);

  expect(await kubectl(['delete', 'namespace', 'bystander', '--timeout=60s'], { timeoutMs: 70_000 })).toMatchObject({
    code: 0,
  });
  expect((await kubectl(['get', 'apiservice', 'v1alpha1.subresources.crashcart.dev'])).stderr).toMatch(/NotFound/);
  const left = await eventually(async () => {
    const all = await kubectl(['get', 'all,secrets,configmaps,leases', '-n', 'crashcart-system', '-o', 'name']);
    const ours = all.stdout.split('\n').filter((line) => line !== '' && !line.includes('kube-root-ca.crt'));
    expect(ours).toEqual([]);
    return ours;
  }, 60_000);
  expect(left).toEqual([]);
  for (const node of cluster().nodes) await eventually(async () => expect(await nodeLeftovers(node)).toEqual([]));

  const without = await crashcart(['pod/box', '-n', 'tools', '--', 'true']);
  expect(without.code).not.toBe(0);
  expect(without.stderr).toMatch(/not installed|helm/i);
}, 300_000);

test('the namespace first, with a session still open: it goes, other namespaces can be deleted, and the rest goes by its label', async () => {
  await installCrashcart({ ...cluster().tools, kubeconfig: cluster().kubeconfig });
  using terminal = crashcartTerminal(['pod/box', '-n', 'tools']);
  await terminal.expect(/box/);
  expect(await kubectl(['create', 'namespace', 'bystander'])).toMatchObject({ code: 0 });
  const patient = { timeoutMs: 130_000 };
  expect(
    await kubectl(['delete', 'namespace', 'crashcart-system', 'bystander', '--timeout=120s'], patient),
  ).toMatchObject({ code: 0 });
  for (const node of cluster().nodes) await eventually(async () => expect(await nodeLeftovers(node)).toEqual([]));
  // The two lines of docs/install.md.
  const sessions = await kubectl([
    'get',
    'debugsessions',
    '-A',
    '--no-headers',
    '-o',
    'custom-columns=N:.metadata.namespace,M:.metadata.name',
  ]);
  for (const line of sessions.stdout.split('\n').filter((each) => each !== '')) {
    const [namespace = '', name = ''] = line.trim().split(/\s+/);
    const patch = ['--type=merge', '-p', '{"metadata":{"finalizers":null}}'];
    expect(await kubectl(['patch', 'debugsession', name, '-n', namespace, ...patch])).toMatchObject({ code: 0 });
  }
  expect(await kubectl(['delete', ours, '-l', 'app.kubernetes.io/part-of=crashcart', '--timeout=60s'])).toMatchObject({
    code: 0,
  });
  const left = await kubectl(['get', ours, '-o', 'name']);
  expect(left.stdout.split('\n').filter((line) => line.includes('crashcart'))).toEqual([]);
}, 300_000);

test('an installation that was removed can be made again', async () => {
  await installCrashcart({ ...cluster().tools, kubeconfig: cluster().kubeconfig });
  expect(await crashcart(['pod/box', '-n', 'tools', '--', 'echo', 'again'])).toMatchObject({
    code: 0,
    stdout: 'again\n',
  });
  const crd = await getJson<{ metadata: { name: string } }>(['get', 'crd', 'debugsessions.crashcart.dev']);
  expect(crd.metadata.name).toBe('debugsessions.crashcart.dev');
}, 240_000);
