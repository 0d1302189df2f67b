import { expect, test } from 'vitest';
import { formatTable } from './table.ts';

test('columns are as wide as their widest cell, and no line ends in spaces', () => {
  const table = formatTable(
    [
      ['NAME', 'EXIT'],
      ['a-long-name', ''],
      ['b', '137'],
    ],
    3,
  );
  expect(table).toBe('NAME          EXIT\na-long-name\nb             137\n');
});

test('a cell neither breaks its line nor reaches the terminal with control characters', () => {
  expect(
    formatTable(
      [
        ['A', 'B'],
        ['x\ny\tz', '\u001b[2J'],
      ],
      2,
    ),
  ).toBe('A      B\nx y z  \\u001b[2J\n');
});

test('a table of nothing is nothing', () => {
  expect(formatTable([], 3)).toBe('');
});
