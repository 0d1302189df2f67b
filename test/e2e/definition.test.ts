import { expect, test } from 'vitest';
import { dryRun, must, type Spec, session } from '../support/dry-run.ts';

// What the API server fills in and refuses by itself: the schema and the CEL rules of crds/debugsession.yaml.

test('fills in what was left out', async () => {
  const { stdout } = await dryRun(session());
  // requestedBy: see authority-spec.test.ts.
  const { requestedBy, ...spec } = (JSON.parse(stdout) as { spec: Spec }).spec;
  expect(requestedBy).toBeDefined();
  expect(spec).toEqual({
    target: { pod: { name: 'web-0' } },
    toolbox: 'default',
    profile: 'general',
    tty: true,
    stdin: false,
    visibility: 'Session',
    maxDuration: '1h',
    idleTimeout: '15m',
    detachGrace: '1h',
    ttlAfterFinished: '1h',
  });
});

test.each<[string, Spec]>([
  ['a command of many arguments', { command: ['sh', '-c', 'echo "$1"', '', 'ü'] }],
  ['a command of the greatest length', { command: ['x'.repeat(16_384), 'y'.repeat(16_384)] }],
  ['durations at their bounds', { maxDuration: '24h', idleTimeout: '1s', ttlAfterFinished: '0s' }],
  ['durations of several units', { maxDuration: '1h30m', idleTimeout: '90s', ttlAfterFinished: '1500ms' }],
  ['neither terminal nor input, but a command', { tty: false, command: ['true'] }],
  ['input without a terminal and a command', { tty: false, stdin: true }],
  ['a reason with an accent', { reason: 'INC-7: wer hält die Verbindung?' }],
  ['the user root', { user: { uid: 0, gid: 0 } }],
  ['a container and a pod with dots', { target: { pod: { name: 'web-0.v1', container: 'main' } } }],
])('accepts %s', async (_, spec) => {
  expect(await dryRun(session(spec))).toMatchObject({ code: 0, stderr: '' });
});

test.each<[string, Spec, RegExp]>([
  ['no target', { target: undefined }, /spec\.target: Required value/],
  ['a pod without a name', { target: { pod: {} } }, /spec\.target\.pod\.name: Required value/],
  ['a name that no pod can have', { target: { pod: { name: 'Web_0' } } }, /spec\.target\.pod\.name: Invalid value/],
  ['a pod name that is a path', { target: { pod: { name: '../x' } } }, /spec\.target\.pod\.name: Invalid value/],
  ['a container name with a dot', { target: { pod: { name: 'a', container: 'a.b' } } }, /container: Invalid value/],
  ['a toolbox that is a path', { toolbox: '../../etc' }, /spec\.toolbox: Invalid value/],
  ['a profile that is a path', { profile: '../root' }, /spec\.profile: Invalid value/],
  ['a reason of two lines', { reason: 'a\nb' }, /the reason must be one line without control characters/],
  ['an empty reason', { reason: '' }, /spec\.reason: Invalid value/],
  ['a requester without a name', { requestedBy: { groups: [] } }, /spec\.requestedBy\.username: Required value/],
  [
    'an unknown visibility',
    { visibility: 'All' },
    /Unsupported value: "All": supported values: "Session", "Container"/,
  ],
  ['an empty command', { command: [] }, /spec\.command: Invalid value.*at least 1/],
  ['an empty program', { command: ['', 'x'] }, /the first item is the program to run and must not be empty/],
  ['a NUL in an argument', { command: ['echo', 'a\0b'] }, /an argument of a command cannot contain a NUL character/],
  ['too many arguments', { command: Array(257).fill('x') }, /spec\.command: Too many/],
  ['an argument that is too long', { command: ['x'.repeat(16_385)] }, /spec\.command\[0\]: Too long/],
  [
    'a command that is too long in all',
    { command: Array(3).fill('x'.repeat(11_000)) },
    /at most 32768 characters in all/,
  ],
  ['nothing to do', { tty: false }, /would end at once; give a command, or set tty or stdin/],
  ['a duration without a unit', { maxDuration: '60' }, /must be a duration between 1s and 24h/],
  ['a duration over a day', { maxDuration: '24h1s' }, /must be a duration between 1s and 24h/],
  ['no duration at all', { maxDuration: '0s' }, /must be a duration between 1s and 24h/],
  ['a duration that overflows', { idleTimeout: '9999999999999h' }, /must be a duration between 1s and 24h/],
  ['a duration that is negative', { idleTimeout: '-5m' }, /must be a duration between 1s and 24h/],
  ['a record that would stay too long', { ttlAfterFinished: '25h' }, /must be a duration of at most 24h/],
  ['a negative user', { user: { uid: -1 } }, /spec\.user\.uid: Invalid value/],
  ['a user that says nothing', { user: {} }, /spec\.user: .*at least 1/],
  ['a field that does not exist', { privileged: true }, /unknown field "spec\.privileged"/],
])('refuses %s', async (_, spec, message) => {
  const { code, stderr } = await dryRun(session(spec));
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/rule evaluation error/);
  expect(code).toBe(1);
});

test('refuses a name that fits into no label', async () => {
  const { code, stderr } = await dryRun(session({}, { name: 'n'.repeat(64) }));
  expect(stderr).toMatch(/may have at most 63 characters; choose a shorter one/);
  expect(code).toBe(1);
});

test('explains every field', async () => {
  const text = await must('explain', 'debugsession', '--recursive=false');
  expect(text).toMatch(/A debugging session in a container that is already running/);
  expect(await must('explain', 'debugsession.spec.idleTimeout')).toMatch(/ended after this long without activity/);
});
