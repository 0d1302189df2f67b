import { expect, test } from 'vitest';
import { must, session } from '../support/dry-run.ts';
import { cluster, crashcartTerminal, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { onNode } from '../support/node-leftovers.ts';
import { expectNothingLeft, leftovers } from './nothing-left.ts';

test('a session that still runs is found: its object, its process, its mount and its cgroup', async () => {
  using terminal = crashcartTerminal(['pod/box', '-n', 'tools']);
  await terminal.expect(/box/);
  const found = await eventually(async () => {
    const lines = await leftovers();
    for (const kind of [/session tools\/box-/, /process/, /mount of/, /cgroup/]) expect(lines.join('\n')).toMatch(kind);
    return lines;
  });
  expect(found.length).toBeGreaterThan(3);
  terminal.enter('exit 0');
  await terminal.exit();
  await eventually(async () => expect(await leftovers()).toEqual([]));
});

test('a session that a test leaves open fails that test, and no other: it is named and cleared away', async () => {
  const forgotten = session(
    { target: { pod: { name: 'box' } }, tty: false, command: ['sleep', '600'] },
    { name: 'forgotten', namespace: 'tools' },
  );
  expect(await kubectl(['create', '-f', '-'], { input: JSON.stringify(forgotten) })).toMatchObject({ code: 0 });
  await must('wait', '-n', 'tools', 'dbg/forgotten', '--for=condition=Ready', '--timeout=30s');
  await expect(expectNothingLeft(1_000)).rejects.toThrow(/session tools\/forgotten \(Running\)/);
  await expectNothingLeft(0);
});

test('a cgroup and a mount left on purpose are found', async () => {
  const [node] = cluster().nodes;
  if (!node) throw new Error('the cluster has no node');
  const place = await onNode(
    node,
    'd=/sys/fs/cgroup/unified; [ -d $d ] || d=/sys/fs/cgroup; mkdir -p $d/$CGROUP/crashcart/left-behind; echo $d/$CGROUP/crashcart',
  );
  expect(place.code).toBe(0);
  const cgroup = place.stdout.trim();
  await onNode(node, 'mkdir -p /run/probe/dev/crashcart && mount -t tmpfs tmpfs /run/probe/dev/crashcart');
  try {
    const lines = (await leftovers()).join('\n');
    expect(lines).toMatch(/cgroup .*left-behind/);
    expect(lines).toMatch(/mount of .*\/dev\/crashcart/);
  } finally {
    await onNode(node, `rmdir ${cgroup}/left-behind; umount /run/probe/dev/crashcart; rm -r /run/probe`);
  }
  expect(await leftovers()).toEqual([]);
});

test('no session keeps its namespace from being deleted', async () => {
  expect(await kubectl(['create', 'namespace', 'short-lived'])).toMatchObject({ code: 0 });
  expect(await kubectl(['delete', 'namespace', 'short-lived', '--timeout=30s'])).toMatchObject({ code: 0 });
});
