import { expect, test } from 'vitest';
import { parseCommandLine } from './command-line.ts';
import { allFlags } from './command-table.ts';
import { type Ends, newSession, sessionName, wantedSpec, wantedStreams } from './new-session.ts';

const parse = (...argv: string[]) => parseCommandLine(['web-0', ...argv], allFlags());
const terminal: Ends = { stdinIsTerminal: true, stdoutIsTerminal: true, stdinIsData: false };
const piped: Ends = { stdinIsTerminal: false, stdoutIsTerminal: true, stdinIsData: true };
const nothing: Ends = { stdinIsTerminal: false, stdoutIsTerminal: false, stdinIsData: false };

test.each<[string, string[], Ends, { tty: boolean; stdin: boolean }]>([
  ['a shell on a terminal has one', [], terminal, { tty: true, stdin: true }],
  [
    'a shell whose output is redirected has none',
    [],
    { ...terminal, stdoutIsTerminal: false },
    { tty: false, stdin: true },
  ],
  ['a shell with piped input reads it as a script', [], piped, { tty: false, stdin: true }],
  ['a command has no terminal', ['--', 'ls'], terminal, { tty: false, stdin: false }],
  ['a command with -it has both', ['-it', '--', 'top'], terminal, { tty: true, stdin: true }],
  ['a command with -t alone can be typed to', ['-t', '--', 'top'], terminal, { tty: true, stdin: true }],
  ['a command with -t without a terminal gets none', ['-t', '--', 'top'], nothing, { tty: false, stdin: false }],
  ['a command reads what is piped to it', ['--', 'wc'], piped, { tty: false, stdin: true }],
  ['--stdin=false leaves a loop its input', ['--stdin=false', '--', 'wc'], piped, { tty: false, stdin: false }],
  ['a command reads nothing from /dev/null', ['--', 'wc'], nothing, { tty: false, stdin: false }],
  ['-i passes on what is typed', ['-i', '--', 'wc'], terminal, { tty: false, stdin: true }],
])('%s', (_, argv, ends, expected) => {
  expect(wantedStreams(parse(...argv), ends)).toEqual(expected);
});

test('what was not asked for is left to the cluster', () => {
  expect(wantedSpec(parse('--', 'ls', '-l'), terminal)).toEqual({ tty: false, stdin: false, command: ['ls', '-l'] });
  expect(wantedSpec(parse(), terminal)).toEqual({ tty: true, stdin: true });
});

test('a shell without a terminal is not the interactive one', () => {
  expect(wantedSpec(parse(), piped).command).toEqual(['bash']);
});

test('what was asked for is in the object', () => {
  const flags =
    '--uid 0 --gid 5 --profile netadmin --toolbox full --visibility Container --max-duration 1h30m --idle-timeout 5m';
  const session = newSession(
    'shop',
    { pod: 'web-0', container: 'app' },
    wantedSpec(parse(...flags.split(' ')), terminal),
  );
  expect(session).toEqual({
    apiVersion: 'crashcart.dev/v1alpha1',
    kind: 'DebugSession',
    metadata: {
      name: expect.stringMatching(/^web-0-[a-z0-9]{5}$/),
      namespace: 'shop',
      finalizers: ['crashcart.dev/session'],
      annotations: { 'crashcart.dev/audit-id': expect.stringMatching(/^[0-9a-f-]{36}$/) },
    },
    spec: {
      target: { pod: { name: 'web-0', container: 'app' } },
      tty: true,
      stdin: true,
      toolbox: 'full',
      profile: 'netadmin',
      visibility: 'Container',
      maxDuration: '1h30m',
      idleTimeout: '5m',
      user: { uid: 0, gid: 5 },
    },
  });
});

test.each([
  [['--uid', 'root'], /--uid is a number/],
  [['--gid=-1'], /--gid is a number/],
  [['--max-duration', '1d'], /--max-duration is a time such as/],
])('%j is refused with the reason', (argv, message) => {
  expect(() => wantedSpec(parse(...argv), terminal)).toThrow(message);
});

test('a name fits into 63 characters and stays a name', () => {
  expect(sessionName('web-0', () => 0)).toBe('web-0-bbbbb');
  const long = sessionName(`${'a'.repeat(56)}-${'b'.repeat(100)}`);
  expect(long).toMatch(/^a{56}-[a-z0-9]{5}$/);
  expect(long.length).toBeLessThanOrEqual(63);
});
