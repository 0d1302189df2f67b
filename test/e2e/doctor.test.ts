import { afterAll, beforeAll, expect, test } from 'vitest';
import { must } from '../support/dry-run.ts';
import { cluster, crashcart, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

nothingLeftAfterEach();

interface Finding {
  readonly check: string;
  readonly state: string;
  readonly says: string;
  readonly next?: string;
}

async function findings(args: readonly string[], as?: string): Promise<readonly Finding[]> {
  const { stdout } = await crashcart(['doctor', '-o', 'json', ...args], as === undefined ? {} : { as });
  return (JSON.parse(stdout) as { findings: Finding[] }).findings;
}

beforeAll(async () => {
  await must('create', 'rolebinding', 'pat-doctor', '--clusterrole=crashcart-user', '--user=pat', '-n', 'tools');
});
afterAll(async () => {
  await kubectl(['delete', 'rolebinding', 'pat-doctor', '-n', 'tools']);
});

test('an administrator: every line is green, with every node, its kernel and its agent', async () => {
  const { code, stdout } = await crashcart(['doctor', '-n', 'tools']);
  expect(stdout).not.toMatch(/FAULT|warning|unknown /);
  for (const { name } of cluster().nodes) {
    expect(stdout).toMatch(new RegExp(`ok +node ${name}: agent ready; Linux \\d+\\.\\d+\\S*, containerd://`));
  }
  expect(stdout).toMatch(/certificates: the authority is valid until \d{4}-/);
  expect(code).toBe(0);
});

test('a user with few rights: what may not be read is unknown, and the right that is missing is named with what grants it', async () => {
  const seen = await findings(['-n', 'tools'], 'pat');
  expect(seen.find(({ check }) => check === 'you')?.says).toMatch(/^pat/);
  expect(seen.filter(({ state }) => state === 'unknown').length).toBeGreaterThan(3);
  const faults = seen.filter(({ state }) => state === 'fault');
  expect(faults.map(({ says }) => says)).toEqual(['you may not create pods/exec in namespace tools']);
  expect(faults[0]?.next).toMatch(/create pods\/exec/);
  const elsewhere = (await findings(['-n', 'shop'], 'pat')).filter(({ state }) => state === 'fault');
  expect(elsewhere[0]?.next).toContain(
    'kubectl create rolebinding crashcart-user -n shop --clusterrole=crashcart-user',
  );
});

test('a node whose agent is not wanted any more is found', async () => {
  const [control, worker] = cluster().nodes;
  const select = (hostname: string | null): Promise<string> => {
    const nodeSelector = { 'kubernetes.io/hostname': hostname };
    const patch = JSON.stringify({ spec: { template: { spec: { nodeSelector } } } });
    return must('patch', 'daemonset', 'crashcart-agent', '-n', 'crashcart-system', '-p', patch);
  };
  await select(control!.name);
  try {
    await eventually(async () => {
      const found = (await findings([])).find(({ check }) => check === `node ${worker!.name}`);
      expect(found).toMatchObject({ state: 'warning', next: expect.stringContaining('agent.nodeSelector') });
    }, 60_000);
  } finally {
    await select(null);
    await must('rollout', 'status', '-n', 'crashcart-system', 'daemonset/crashcart-agent', '--timeout=90s');
  }
});

test('the API server is not there: one line says where it was looked for', async () => {
  const { code, stdout } = await crashcart(['doctor', '-s', 'https://127.0.0.1:1']);
  expect(code).toBe(1);
  expect(stdout).toMatch(/FAULT +cluster: the API server https:\/\/127\.0\.0\.1:1 .*ECONNREFUSED.*→/s);
});
