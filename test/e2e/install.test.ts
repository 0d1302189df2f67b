import { afterAll, expect, test } from 'vitest';
import { cluster, crashcart, crashcartTerminal, getJson, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { installCrashcart } from '../support/install.ts';
import { nodeLeftovers } from '../support/node-leftovers.ts';
import { run } from '../support/run.ts';

const helm = (...args: string[]) =>
  run(cluster().tools.helm, args, { env: { ...process.env, KUBECONFIG: cluster().kubeconfig }, timeoutMs: 200_000 });

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

test('an installation that was removed can be made again', async () => {
  await installCrashcart({ ...cluster().tools, kubeconfig: cluster().kubeconfig });
  expect(await crashcart(['pod/box', '-n', 'tools', '--', 'echo', 'again'])).toMatchObject({
    code: 0,
    stdout: 'again\n',
  });
  const crd = await getJson<{ metadata: { name: string } }>(['get', 'crd', 'debugsessions.crashcart.dev']);
  expect(crd.metadata.name).toBe('debugsessions.crashcart.dev');
}, 240_000);
