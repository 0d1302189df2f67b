import { expect, test } from 'vitest';
import { formatDuration, parseDuration, writeDuration } from './duration.ts';

test.each([
  ['90s', 90_000],
  ['1h30m', 5_400_000],
  ['500ms', 500],
  ['0s', 0],
])('%s is %d ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each(['', 'h', '1', '1d', '-1s', '1.5h', '1h 2m', '99999999999999999h'])('%j is not a duration', (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

test.each([
  [200, '200ms'],
  [4_200, '4s'],
  [5_400_000, '1h30m'],
  [3_600_000, '1h'],
  [90_061_000, '1d1h'],
])('%d ms reads %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});

test.each([
  [5_400_000, '1h30m'],
  [86_400_000, '24h'],
  [59_001, '1m'],
  [3_661_000, '1h1m1s'],
  [0, '0s'],
])('%d ms is written %s, and read as no less', (ms, text) => {
  expect(writeDuration(ms)).toBe(text);
  expect(parseDuration(text)).toBeGreaterThanOrEqual(ms);
});
