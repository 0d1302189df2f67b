import { expect, test } from 'vitest';
import { parseCommandLine } from './command-line.ts';
import { allFlags, verbOf } from './command-table.ts';

const parse = (...argv: string[]) => parseCommandLine(argv, allFlags());

test.each([['-n', 'shop'], ['-nshop'], ['-n=shop'], ['--namespace', 'shop'], ['--namespace=shop']])(
  'a value may be written %s',
  (...argv) => {
    expect(parse('web-0', ...argv).text('namespace')).toBe('shop');
  },
);

test('short switches may be written together, and switches may be turned off', () => {
  const line = parse('-it', 'web-0', '--rm=false');
  expect([line.switch('stdin'), line.switch('tty'), line.switch('rm'), line.switch('all')]).toEqual([
    true,
    true,
    false,
    undefined,
  ]);
  expect(parse('-i=false', 'web-0').switch('stdin')).toBe(false);
});

test('everything behind -- is the command, as it is', () => {
  const line = parse('web-0', '-c', 'app', '--', 'ls', '-n', '--', '--help');
  expect(line.positionals).toEqual(['web-0']);
  expect(line.command).toEqual(['ls', '-n', '--', '--help']);
  expect(parse('web-0', '--').command).toBeUndefined();
});

test('flags may stand before and behind the verb', () => {
  const line = parse('-n', 'shop', 'ls', '-o', 'json');
  expect(verbOf(line.positionals[0])).toBe('ls');
  expect(line.text('output')).toBe('json');
});

test('the last of two values counts, and those that may be repeated are kept', () => {
  const line = parse('-n', 'a', '-n', 'b', '--as-group', 'x', '--as-group=y');
  expect(line.text('namespace')).toBe('b');
  expect(line.texts('as-group')).toEqual(['x', 'y']);
});

test.each([
  [['--nonsense'], /unknown flag --nonsense/],
  [['-z'], /unknown flag -z/],
  [['-n'], /-n needs a value/],
  [['--rm=maybe'], /--rm is a switch/],
  [['--visibility=Everyone'], /--visibility is one of Session, Container/],
])('%j is refused with the reason', (argv, message) => {
  expect(() => parse(...argv)).toThrow(message);
});
