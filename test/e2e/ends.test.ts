import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { DebugSession } from '../../src/api/debug-session.ts';
import { must } from '../support/dry-run.ts';
import { crashcart, crashcartTerminal, getJson, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

// How a session ends by its clocks, what one is told before, and how one puts it off: real seconds.
nothingLeftAfterEach();

const sessionOf = (name: string): Promise<DebugSession> => getJson<DebugSession>(['get', 'dbg', name, '-n', 'tools']);
const escapeKey = '\u001d';

/** Its start is written down a moment after its prompt is there. */
const newest = (): Promise<string> =>
  eventually(async () => {
    const { items } = await getJson<{ items: DebugSession[] }>(['get', 'dbg', '-n', 'tools']);
    const [last] = items.filter(({ status }) => status?.phase === 'Running');
    expect(last).toBeDefined();
    return last!.metadata.name;
  });

test('a minute before maxDuration one is warned, and extend puts the end off', async () => {
  using terminal = crashcartTerminal(['pod/box', '-n', 'tools', '--max-duration', '64s']);
  await terminal.expect(
    /this session ends in 60 s \(maxDuration\); more time: kubectl crashcart extend \S+ -n tools/,
    25_000,
  );
  const name = await newest();
  const extended = await crashcart(['extend', name, '-n', 'tools', '--by', '30m']);
  expect(extended).toMatchObject({ code: 0, stderr: '' });
  expect(extended.stdout).toMatch(/may last 31m4s, until 20\d\d-/);
  await terminal.expect(/this session was extended: it may last 30m\d*s? from now|it may last 30m from now/);
  await eventually(async () => expect((await sessionOf(name)).status?.maxDuration).toBe('31m4s'));
  await eventually(async () => {
    const { items } = await getJson<{ items: { message: string }[] }>([
      'get',
      'events',
      '-n',
      'tools',
      `--field-selector=reason=DebugSessionExtended,involvedObject.name=${name}`,
    ]);
    const me = (await sessionOf(name)).spec.requestedBy?.username;
    const [{ message } = { message: '' }] = items;
    expect(message).toContain(
      `debug session ${name} of ${me} was extended by ${me}: 30m more, it may last 31m4s, until 20`,
    );
  });
  // Past the end that it had.
  await sleep(66_000);
  terminal.enter('echo "still $((40+2)) here"');
  await terminal.expect(/still 42 here/);
  expect(await crashcart(['extend', name, '-n', 'tools', '--by', '24h'])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/24h at most/),
  });
  terminal.enter('exit 3');
  expect(await terminal.exit()).toBe(3);
  expect(await crashcart(['extend', name, '-n', 'tools'])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/has ended/),
  });
});

test('a minute before idleTimeout one is warned, and a key puts the end off', async () => {
  using terminal = crashcartTerminal(['pod/box', '-n', 'tools', '--idle-timeout', '63s']);
  await terminal.expect(/this session ends in 60 s \(idleTimeout\) unless you type something/, 25_000);
  terminal.enter('echo "awake $((40+2))"');
  await terminal.expect(/awake 42/);
  await terminal.expect(/this session ends in 60 s \(idleTimeout\)/, 25_000);
  terminal.enter('exit');
  expect(await terminal.exit()).toBe(0);
});

test('a session that its last client has left ends after its grace', async () => {
  using terminal = crashcartTerminal(['pod/box', '-n', 'tools', '--detach-grace', '3s']);
  terminal.enter('echo "here $((40+2))"');
  await terminal.expect(/here 42/);
  const name = await newest();
  await sleep(4_000);
  terminal.enter('echo "still $((40+2))"');
  await terminal.expect(/still 42/);
  terminal.type(`${escapeKey}.`);
  expect(await terminal.exit()).toBe(0);
  const { status } = await eventually(async () => {
    const session = await sessionOf(name);
    expect(session.status?.phase).toBe('Finished');
    return session;
  }, 15_000);
  expect(status?.exit).toMatchObject({ code: 137, reason: 'DetachGraceExceeded' });
});

test('a session that nobody has come to yet is not one that everybody has left', async () => {
  const manifest = {
    apiVersion: 'crashcart.dev/v1alpha1',
    kind: 'DebugSession',
    metadata: { name: 'alone', namespace: 'tools' },
    spec: { target: { pod: { name: 'box' } }, detachGrace: '2s' },
  };
  expect(await kubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest) })).toMatchObject({ code: 0 });
  await must('wait', '-n', 'tools', 'dbg/alone', '--for=condition=Ready', '--timeout=20s');
  await sleep(5_000);
  expect((await sessionOf('alone')).status).toMatchObject({ phase: 'Running', detachGrace: '2s' });
  await must('delete', '-n', 'tools', 'dbg/alone', '--timeout=30s');
});
