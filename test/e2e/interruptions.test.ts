import { expect, test } from 'vitest';
import type { DebugSession } from '../../src/api/debug-session.ts';
import { open } from '../cluster/cluster.ts';
import { cluster, crashcart, crashcartTerminal, getJson, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { onNode } from '../support/node-leftovers.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

nothingLeftAfterEach();

const system = ['-n', 'crashcart-system'];

interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly spec: { readonly nodeName: string };
}

const nodeOf = async (pod: string, namespace: string): Promise<string> =>
  (await getJson<Pod>(['get', 'pod', pod, '-n', namespace])).spec.nodeName;

async function agentOn(node: string): Promise<Pod> {
  const { items } = await getJson<{ items: Pod[] }>([
    'get',
    'pods',
    ...system,
    '-l',
    'app.kubernetes.io/component=agent',
    '--field-selector',
    `spec.nodeName=${node}`,
  ]);
  const [agent] = items;
  if (!agent) throw new Error(`no agent on ${node}`);
  return agent;
}

const agentsReady = () =>
  kubectl(['rollout', 'status', ...system, 'daemonset/crashcart-agent', '--timeout=90s'], { timeoutMs: 100_000 });

async function startedSession(name: string, pod: string): Promise<void> {
  const manifest = {
    apiVersion: 'crashcart.dev/v1alpha1',
    kind: 'DebugSession',
    metadata: { name, namespace: 'tools' },
    spec: { target: { pod: { name: pod } } },
  };
  expect(await kubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest) })).toMatchObject({ code: 0 });
  expect(await kubectl(['wait', '-n', 'tools', `dbg/${name}`, '--for=condition=Ready', '--timeout=20s'])).toMatchObject(
    { code: 0 },
  );
}

test('the API server restarts: the plugin says that the stream was cut, and the same shell can be opened again', async () => {
  await startedSession('long', 'box');
  using first = crashcartTerminal(['attach', 'long', '-n', 'tools']);
  first.enter('mark=kept$((40+2)); echo $mark');
  await first.expect(/kept42/);
  const [control] = cluster().nodes;
  await open(cluster().name).restart(control!.name, 'kube-apiserver');
  await first.expect(/kubectl crashcart attach long -n tools/, 60_000);
  expect(await first.exit()).not.toBe(0);

  await eventually(async () => expect((await kubectl(['get', '--raw', '/readyz'])).code).toBe(0), 60_000);
  await eventually(async () => {
    const available = await getJson<{ status: { conditions: { type: string; status: string }[] } }>([
      'get',
      'apiservice',
      'v1alpha1.subresources.crashcart.dev',
    ]);
    expect(available.status.conditions).toContainEqual(expect.objectContaining({ type: 'Available', status: 'True' }));
  }, 60_000);
  using second = crashcartTerminal(['attach', 'long', '-n', 'tools']);
  second.enter('echo "again $mark"');
  await second.expect(/again kept42/, 30_000);
  second.enter('exit 6');
  expect(await second.exit()).toBe(6);
  await kubectl(['delete', 'dbg', 'long', '-n', 'tools', '--timeout=30s']);
});

test('a controller replica goes away: sessions start through the other one', async () => {
  const { items } = await getJson<{ items: Pod[] }>([
    'get',
    'pods',
    ...system,
    '-l',
    'app.kubernetes.io/component=controller',
  ]);
  expect(items).toHaveLength(2);
  const lease = await getJson<{ spec: { holderIdentity: string } }>([
    'get',
    'lease',
    'crashcart-controller',
    ...system,
  ]);
  const leader = items.find((pod) => lease.spec.holderIdentity.includes(pod.metadata.name));
  expect(leader).toBeDefined();
  expect(await kubectl(['delete', 'pod', ...system, leader!.metadata.name, '--wait=false'])).toMatchObject({ code: 0 });
  await eventually(
    async () =>
      expect(await crashcart(['pod/box', '-n', 'tools', '--', 'echo', 'through'])).toMatchObject({
        code: 0,
        stdout: 'through\n',
      }),
    40_000,
  );
  expect(
    (
      await kubectl(['rollout', 'status', ...system, 'deployment/crashcart-controller', '--timeout=90s'], {
        timeoutMs: 100_000,
      })
    ).code,
  ).toBe(0);
});

test('the agent is killed: its sessions end with a reason, the node is swept, and new sessions work', async () => {
  await startedSession('orphan', 'box');
  using terminal = crashcartTerminal(['attach', 'orphan', '-n', 'tools']);
  terminal.enter('echo "alive $((40+2))"');
  await terminal.expect(/alive 42/);

  const nodeName = await nodeOf('box', 'tools');
  const node = cluster().nodes.find((each) => each.name === nodeName);
  const killed = await onNode(
    node!,
    `for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q '^/usr/bin/node /app/agent.mjs' && kill -9 \${p#/proc/}; done; true`,
  );
  expect(killed.code).toBe(0);
  expect(await terminal.exit(90_000)).not.toBe(0);
  expect(terminal.transcript).toMatch(/agent|attach/i);

  await eventually(async () => {
    const session = await getJson<DebugSession>(['get', 'dbg', 'orphan', '-n', 'tools']);
    expect(session.status?.phase).toBe('Failed');
    expect(session.status?.conditions).toContainEqual(
      expect.objectContaining({ type: 'Ready', reason: 'AgentRestarted' }),
    );
  }, 90_000);
  await agentsReady();
  expect(await crashcart(['pod/box', '-n', 'tools', '--', 'echo', 'back'])).toMatchObject({
    code: 0,
    stdout: 'back\n',
  });
  await kubectl(['delete', 'dbg', 'orphan', '-n', 'tools', '--timeout=30s']);
});

test('the agent is replaced in an orderly way: it ends its sessions itself and leaves nothing', async () => {
  await startedSession('rolled', 'box');
  const agent = await agentOn(await nodeOf('box', 'tools'));
  expect(
    await kubectl(['delete', 'pod', ...system, agent.metadata.name, '--timeout=60s'], { timeoutMs: 70_000 }),
  ).toMatchObject({ code: 0 });
  await eventually(async () => {
    const session = await getJson<DebugSession>(['get', 'dbg', 'rolled', '-n', 'tools']);
    expect(session.status?.phase).toMatch(/Finished|Failed/);
  }, 90_000);
  await agentsReady();
  await kubectl(['delete', 'dbg', 'rolled', '-n', 'tools', '--timeout=30s']);
});

test('a pod that was replaced under the same name is not entered in the place of the old one', async () => {
  const manifest = (command: string[]) =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'twin', namespace: 'tools' },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'box', image: 'localhost/busybox:1', imagePullPolicy: 'IfNotPresent', command }],
      },
    });
  await kubectl(['apply', '-f', '-'], { input: manifest(['sleep', '1000000']) });
  await kubectl(['wait', '-n', 'tools', 'pod/twin', '--for=condition=Ready', '--timeout=30s']);
  await startedSession('for-twin', 'twin');
  const before = await getJson<DebugSession>(['get', 'dbg', 'for-twin', '-n', 'tools']);
  expect(await kubectl(['delete', 'pod', 'twin', '-n', 'tools', '--timeout=30s'])).toMatchObject({ code: 0 });
  await kubectl(['apply', '-f', '-'], { input: manifest(['sleep', '1000000']) });
  await kubectl(['wait', '-n', 'tools', 'pod/twin', '--for=condition=Ready', '--timeout=30s']);
  await eventually(async () => {
    const session = await getJson<DebugSession>(['get', 'dbg', 'for-twin', '-n', 'tools']);
    expect(session.status).toMatchObject({
      phase: 'Finished',
      exit: { reason: 'ContainerExited' },
      podUID: before.status?.podUID,
    });
  });
  expect((await crashcart(['attach', 'for-twin', '-n', 'tools'])).code).not.toBe(0);
  await kubectl(['delete', 'dbg', 'for-twin', '-n', 'tools', '--timeout=30s']);
  await kubectl(['delete', 'pod', 'twin', '-n', 'tools', '--wait=false']);
});

test('a node without an agent is named, with the command to look', async () => {
  const nodeName = await nodeOf('box', 'tools');
  const elsewhere = {
    spec: {
      template: {
        spec: {
          nodeSelector: { 'kubernetes.io/hostname': cluster().nodes.find((node) => node.name !== nodeName)!.name },
        },
      },
    },
  };
  const patch = (body: object) =>
    kubectl(['patch', 'daemonset', 'crashcart-agent', ...system, '--type=merge', '-p', JSON.stringify(body)]);
  expect(await patch(elsewhere)).toMatchObject({ code: 0 });
  try {
    await eventually(async () => {
      const { items } = await getJson<{ items: Pod[] }>([
        'get',
        'pods',
        ...system,
        '-l',
        'app.kubernetes.io/component=agent',
        '--field-selector',
        `spec.nodeName=${nodeName}`,
      ]);
      expect(items).toEqual([]);
    }, 60_000);
    const result = await crashcart(['pod/box', '-n', 'tools', '--', 'true'], { timeoutMs: 90_000 });
    expect(result.code).not.toBe(0);
    expect(result.stderr).toContain(nodeName);
    expect(result.stderr).toMatch(/agent/);
  } finally {
    await patch({ spec: { template: { spec: { nodeSelector: { 'kubernetes.io/hostname': null } } } } });
    await agentsReady();
  }
});
