import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { DebugSession } from '../../src/api/debug-session.ts';
import { open } from '../cluster/cluster.ts';
import { must } from '../support/dry-run.ts';
import { cluster, crashcart, crashcartTerminal, getJson, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { onNode } from '../support/node-leftovers.ts';
import { allLines, linesShown, sayLines } from '../support/numbered-lines.ts';
import type { Terminal } from '../support/terminal.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

nothingLeftAfterEach();

const system = ['-n', 'crashcart-system'];

interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly spec: { readonly nodeName: string };
}

const nodeOf = async (pod: string, namespace: string): Promise<string> =>
  (await getJson<Pod>(['get', 'pod', pod, '-n', namespace])).spec.nodeName;

async function agentsOn(node: string): Promise<readonly Pod[]> {
  const { items } = await getJson<{ items: Pod[] }>([
    'get',
    'pods',
    ...system,
    '-l',
    'app.kubernetes.io/component=agent',
    '--field-selector',
    `spec.nodeName=${node}`,
  ]);
  return items;
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

const checksum = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Our own words, a line each wherever the cursor was, in the midst of what the command prints. */
const dim = '(?:\\u001b\\[\\d+m)?';
const ours = new RegExp(`\\n${dim}(?:connection lost, coming back[^\\n]*?|connected again)${dim}\\n`, 'g');

/** The stretch of a transcript between two marks that the shell printed. Terminals on the way add carriage returns as they like. */
function between(transcript: string, from: string, to: string): string {
  const text = transcript.replaceAll('\r', '');
  return text.slice(text.indexOf(from) + from.length, text.lastIndexOf(to)).replace(ours, '');
}

/** 2.4 million numbered lines, some 20 MB, with a break in the middle of them. */
async function unbroken(terminal: Terminal, breakIt: () => Promise<void>): Promise<void> {
  const lines = 2_400_000;
  terminal.enter('stty -echo; PS1=; mark=kept$((40+2)); echo $mark');
  await terminal.expect(/kept42/);
  terminal.enter(`printf 'from%s\\n' here; seq 1 ${lines}; printf 'to%s\\n' here`);
  await terminal.expect(/fromhere/);
  await breakIt();
  await terminal.expect(/tohere/, 240_000);
  const expected = Array.from({ length: lines }, (_, at) => `${at + 1}\n`).join('');
  const shown = between(terminal.transcript, 'fromhere\n', 'tohere');
  expect([shown.length, checksum(shown)]).toEqual([expected.length, checksum(expected)]);
  terminal.enter('echo "again $mark"');
  await terminal.expect(/again kept42/, 60_000);
  terminal.enter('exit 6');
  expect(await terminal.exit(30_000)).toBe(6);
}

test('the API server restarts: the plugin comes back by itself, and no byte is lost', async () => {
  await startedSession('long', 'box');
  using terminal = crashcartTerminal(['attach', 'long', '-n', 'tools']);
  const [control] = cluster().nodes;
  await unbroken(terminal, async () => void (await open(cluster().name).restart(control!.name, 'kube-apiserver')));
  await eventually(async () => expect((await kubectl(['get', '--raw', '/readyz'])).code).toBe(0), 60_000);
  await kubectl(['delete', 'dbg', 'long', '-n', 'tools', '--timeout=30s']);
});

test('an API server that has just started takes sessions as soon as it is ready', async () => {
  const [control] = cluster().nodes;
  await open(cluster().name).restart(control!.name, 'kube-apiserver');
  await eventually(async () => expect((await kubectl(['get', '--raw', '/readyz'])).code).toBe(0), 60_000, 100);
  // The nodes find the way to it again within some 40 s, by their own pauses; until then the plugin waits.
  const outcome = await crashcart(['pod/box', '-n', 'tools', '--', 'echo', 'in'], { timeoutMs: 100_000 });
  expect(outcome).toMatchObject({ code: 0, stdout: 'in\n' });
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

async function killAgent(nodeName: string): Promise<void> {
  const node = cluster().nodes.find((each) => each.name === nodeName);
  const killed = await onNode(
    node!,
    `for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q '^/usr/bin/node /app/agent.cjs' && kill -9 \${p#/proc/}; done; true`,
  );
  expect(killed.code).toBe(0);
}

test('the agent is killed: the same shell goes on, and no byte is lost', async () => {
  await startedSession('orphan', 'box');
  const nodeName = await nodeOf('box', 'tools');
  using terminal = crashcartTerminal(['attach', 'orphan', '-n', 'tools']);
  await unbroken(terminal, () => killAgent(nodeName));
  await agentsReady();
  await eventually(async () => {
    const session = await getJson<DebugSession>(['get', 'dbg', 'orphan', '-n', 'tools']);
    expect(session.status).toMatchObject({ phase: 'Finished', exit: { code: 6, reason: 'Completed' } });
  }, 60_000);
  await kubectl(['delete', 'dbg', 'orphan', '-n', 'tools', '--timeout=30s']);
});

test('the pod of the agent is replaced: its sessions go on under the next one', async () => {
  await startedSession('rolled', 'box');
  const [agent] = await agentsOn(await nodeOf('box', 'tools'));
  using terminal = crashcartTerminal(['attach', 'rolled', '-n', 'tools']);
  terminal.enter('mark=kept$((40+2)); echo $mark');
  await terminal.expect(/kept42/);
  expect(
    await kubectl(['delete', 'pod', ...system, agent!.metadata.name, '--timeout=60s'], { timeoutMs: 70_000 }),
  ).toMatchObject({ code: 0 });
  await agentsReady();
  terminal.enter('echo "again $mark"');
  await terminal.expect(/again kept42/, 90_000);
  terminal.enter('exit 4');
  expect(await terminal.exit(30_000)).toBe(4);
  await kubectl(['delete', 'dbg', 'rolled', '-n', 'tools', '--timeout=30s']);
});

/** An update that waits for its image, as for each node: what there is of the agents leaves it, and the next one comes when this is over. */
async function withoutAgent(nodeName: string, meanwhile: () => Promise<void>): Promise<void> {
  const elsewhere = cluster().nodes.find(({ name }) => name !== nodeName)!.name;
  const place = (hostname: string | null) => {
    const patch = { spec: { template: { spec: { nodeSelector: { 'kubernetes.io/hostname': hostname } } } } };
    return must('patch', 'daemonset', 'crashcart-agent', ...system, '--type=merge', '-p', JSON.stringify(patch));
  };
  await place(elsewhere);
  try {
    await eventually(async () => expect(await agentsOn(nodeName)).toEqual([]), 60_000);
    await meanwhile();
  } finally {
    await place(null);
    await agentsReady();
  }
}

test('the next agent comes only after a minute: the session goes on without one, and its client comes back to it', async () => {
  await startedSession('patient', 'box');
  const nodeName = await nodeOf('box', 'tools');
  using terminal = crashcartTerminal(['attach', 'patient', '-n', 'tools']);
  terminal.enter('stty -echo; PS1=; mark=kept$((40+2)); echo $mark');
  await terminal.expect(/kept42/);
  const lines = 800;
  terminal.enter(sayLines(lines));
  await terminal.expect(/line 5\./);
  await withoutAgent(nodeName, async () => {
    await terminal.expect(/connection lost/, 30_000);
    await sleep(60_000);
    const { status } = await getJson<DebugSession>(['get', 'dbg', 'patient', '-n', 'tools']);
    expect(status?.phase).toBe('Running');
    expect(status?.conditions?.find(({ type }) => type === 'Ready')).toMatchObject({
      status: 'Unknown',
      reason: 'AgentLost',
      message: expect.stringMatching(/is not connected; the session goes on when it comes back/),
    });
  });
  await terminal.expect(/connected again/, 60_000);
  await terminal.expect(/all said/, 120_000);
  expect(linesShown(terminal.transcript)).toEqual(allLines(lines));
  terminal.enter('echo "again $mark"; exit 7');
  await terminal.expect(/again kept42/, 30_000);
  expect(await terminal.exit(30_000)).toBe(7);
  await eventually(async () => {
    const { status } = await getJson<DebugSession>(['get', 'dbg', 'patient', '-n', 'tools']);
    expect(status).toMatchObject({ phase: 'Finished', exit: { code: 7, reason: 'Completed' } });
  });
  await kubectl(['delete', 'dbg', 'patient', '-n', 'tools', '--timeout=30s']);
}, 400_000);

test('a person leaves by the escape sequence and finds the shell from elsewhere', async () => {
  await startedSession('left', 'box');
  using first = crashcartTerminal(['attach', 'left', '-n', 'tools']);
  first.enter('mark=kept$((40+2)); echo $mark');
  await first.expect(/kept42/);
  first.type('\x1d?');
  await first.expect(/Ctrl-\] \. leaves/);
  first.type('\x1d.');
  await first.expect(/kubectl crashcart attach left -n tools/);
  expect(await first.exit()).toBe(0);
  using second = crashcartTerminal(['attach', 'left', '-n', 'tools']);
  second.enter('echo "again $mark"; exit 3');
  await second.expect(/again kept42/, 30_000);
  expect(await second.exit()).toBe(3);
  await kubectl(['delete', 'dbg', 'left', '-n', 'tools', '--timeout=30s']);
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
  await withoutAgent(nodeName, async () => {
    const result = await crashcart(['pod/box', '-n', 'tools', '--', 'true'], { timeoutMs: 90_000 });
    expect(result.code).not.toBe(0);
    expect(result.stderr).toContain(nodeName);
    expect(result.stderr).toMatch(/agent/);
  });
});
