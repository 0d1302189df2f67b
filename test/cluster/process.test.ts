import { expect, test } from 'vitest';
import { identify, isAlive, parseStat } from './process.ts';

test('a command with spaces and parentheses does not shift the fields of stat', () => {
  const rest = Array.from({ length: 40 }, (_, index) => index + 5).join(' ');
  expect(parseStat(`7 (a b) c) R) S 42 ${rest}`)).toEqual({ state: 'S', parent: 42, startTime: '22' });
});

test('a process of another start time is another process', () => {
  const own = identify(process.pid);
  expect(isAlive(own)).toBe(true);
  expect(isAlive({ ...own, startTime: '1' })).toBe(false);
});
