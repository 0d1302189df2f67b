import { describe, expect, test } from 'vitest';
import type { DebugSession, DebugSessionStatus } from '../api/debug-session.ts';
import { parseDebugSession } from '../api/parse.ts';
import { parseCommandLine } from './command-line.ts';
import { allFlags } from './command-table.ts';
import { longerDuration } from './extend.ts';

const now = Date.parse('2026-11-24T10:00:00Z');
const sessionWith = (maxDuration: string, status: DebugSessionStatus): DebugSession => ({
  ...parseDebugSession({
    apiVersion: 'crashcart.dev/v1alpha1',
    kind: 'DebugSession',
    metadata: {
      name: 'look',
      namespace: 'shop',
      uid: 'u',
      resourceVersion: '1',
      creationTimestamp: '2026-11-24T09:50:00Z',
    },
    spec: { target: { pod: { name: 'web' } }, maxDuration },
  }),
  status,
});
const running = sessionWith('1h', { phase: 'Running', startedAt: '2026-11-24T09:50:00Z' });
const asked = (...argv: string[]): string => longerDuration(running, parseCommandLine(argv, allFlags()), now);

describe('a longer maxDuration', () => {
  test('is half an hour more when nothing is said', () => {
    expect(asked()).toBe('1h30m');
  });

  test('is as much more as is said', () => {
    expect(asked('--by', '90s')).toBe('1h1m30s');
  });

  test('reaches from the start of the session to the moment that is said', () => {
    expect(asked('--until', '2026-11-24T12:00:00Z')).toBe('2h10m');
  });

  test('counts the clock on the wall, of tomorrow when it is past that today', () => {
    const at = new Date(now);
    const clock = (hours: number): string => `${String((at.getHours() + 24 + hours) % 24).padStart(2, '0')}:00`;
    expect(asked('--until', clock(2))).toBe('2h10m');
    expect(asked('--until', clock(-1))).toBe('23h10m');
  });

  test('begins at what the profile allowed, not at what was asked for', () => {
    const bounded = sessionWith('8h', { phase: 'Running', maxDuration: '1h' });
    expect(longerDuration(bounded, parseCommandLine(['--by', '1h'], allFlags()), now)).toBe('2h');
  });
});

test.each<[string[], RegExp]>([
  [['--by', '0s'], /--by is a time such as/],
  [['--by', 'long'], /--by is a time such as/],
  [['--until', 'tomorrow'], /--until is a time such as/],
  [['--until', '25:00'], /--until is a time such as/],
  [['--until', '2026-11-24T10:30:00Z'], /may last 1h already: a session can only be extended/],
  [['--by', '24h'], /24h at most, and this would be 25h/],
  [['--by', '1m', '--until', '18:30'], /either --by or --until/],
])('%j is refused', (argv, message) => {
  expect(() => asked(...argv)).toThrow(message);
});

test('a session that has ended is not extended', () => {
  const ended = sessionWith('1h', { phase: 'Finished' });
  expect(() => longerDuration(ended, parseCommandLine([], allFlags()), now)).toThrow(/has ended/);
});
