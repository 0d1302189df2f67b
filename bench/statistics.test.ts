import { expect, test } from 'vitest';
import { summarize, table } from './statistics.ts';

test('median and p99 are nearest ranks', () => {
  const samples = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect(summarize(samples)).toEqual({ min: 1, median: 50, p99: 99 });
  expect(summarize([3])).toEqual({ min: 3, median: 3, p99: 3 });
  expect(() => summarize([])).toThrow(/no samples/);
});

test('the table compares medians with the first row', () => {
  expect(
    table(
      'T',
      'ms',
      new Map([
        ['a', [10]],
        ['b', [5]],
      ]),
    ),
  ).toContain('| b | 5.0 | 5.0 | 5.0 | 0.50 | 1 |');
});
