import { afterEach, expect, test } from 'vitest';
import type { DebugSession } from '../../src/api/debug-session.ts';
import { must, session } from '../support/dry-run.ts';
import { crashcart, crashcartTerminal, getJson, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

nothingLeftAfterEach();
afterEach(() => kubectl(['delete', 'dbg', '-n', 'tools', '--all', '--timeout=60s'], { timeoutMs: 70_000 }));

const create = (name: string, spec: Record<string, unknown>) =>
  kubectl(['create', '-f', '-'], {
    input: JSON.stringify(session({ target: { pod: { name: 'box' } }, ...spec }, { name, namespace: 'tools' })),
  });

test('what a command wrote while nobody was attached, and how it ended', async () => {
  const command = ['sh', '-c', 'echo out; echo err >&2; exit 3'];
  expect(await create('alone', { tty: false, command })).toMatchObject({ code: 0 });
  await eventually(async () => {
    const { status } = await getJson<DebugSession>(['get', 'dbg', 'alone', '-n', 'tools']);
    expect(status?.phase).toBe('Finished');
  });
  for (const flags of [[], ['-f'], []]) {
    const { code, stdout, stderr } = await crashcart(['logs', 'alone', '-n', 'tools', ...flags]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'out\n' });
    expect(stderr).toMatch(/^err\n/);
    expect(stderr).toMatch(/exit code 3/);
  }
});

test('a colleague reads along: sees what is typed, types nothing, needs a right, and disturbs nobody', async () => {
  expect(await create('shared', { tty: true })).toMatchObject({ code: 0 });
  await must('wait', '-n', 'tools', 'dbg/shared', '--for=condition=Ready', '--timeout=20s');
  const denied = await crashcart(['attach', 'shared', '-n', 'tools', '--watch'], { as: 'stranger' });
  expect(denied.code).not.toBe(0);
  using writer = crashcartTerminal(['attach', 'shared', '-n', 'tools'], { cols: 90, rows: 20 });
  using watcher = crashcartTerminal(['attach', 'shared', '-n', 'tools', '--watch'], { cols: 120, rows: 50 });
  await watcher.expect(/watching shared/);
  watcher.enter('echo "typed by the watcher"');
  writer.enter('echo "size=$(stty size) sum=$((40+2))"');
  await watcher.expect(/size=20 90 sum=42/);
  await writer.expect(/size=20 90 sum=42/);
  writer.enter('echo "all=$((41+2))"');
  await writer.expect(/all=43/);
  expect(writer.transcript).not.toMatch(/typed by the watcher/);
  watcher.type('\u0003');
  expect(await watcher.exit()).toBe(130);
  writer.enter('exit 4');
  expect(await writer.exit()).toBe(4);
});
