import { expect, test } from 'vitest';
import { Escape, nameOfKey, parseEscape } from './escape.ts';

const take = (found: Escape, text: string) => {
  const { pass, action, rest } = found.take(Buffer.from(text, 'latin1'));
  return [pass.toString('latin1'), action, rest?.toString('latin1')];
};

test('the key and a dot detach, the key and a question mark help, wherever the typing is cut', () => {
  expect(take(new Escape(0x1d), 'ls\x1d.more')).toEqual(['ls', 'detach', 'more']);
  const keys = new Escape(0x1d);
  expect(take(keys, 'ab\x1d')).toEqual(['ab', undefined, undefined]);
  expect(take(keys, '?')).toEqual(['', 'help', '']);
});

test('the key twice is the key once, and before anything else both are sent', () => {
  expect(take(new Escape(0x1d), '\x1d\x1d\x1dx')).toEqual(['\x1d\x1dx', undefined, undefined]);
});

test('without a key nothing is looked at', () => {
  expect(take(new Escape(undefined), '\x1d.')).toEqual(['\x1d.', undefined, undefined]);
});

test('keys are written as people write them', () => {
  expect([parseEscape('^]'), parseEscape('~'), parseEscape('none'), parseEscape('^b')]).toEqual([
    0x1d,
    0x7e,
    undefined,
    2,
  ]);
  expect(nameOfKey(0x1d)).toBe('Ctrl-]');
  for (const wrong of ['', '.', '?', 'ab', '\x1d']) expect(() => parseEscape(wrong)).toThrow('--escape');
});
