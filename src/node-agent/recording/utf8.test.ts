import { expect, test } from 'vitest';
import { unfinishedBytes } from './utf8.ts';

test.each<[string, readonly number[], number]>([
  ['nothing', [], 0],
  ['ASCII', [0x61, 0x62], 0],
  ['a whole é', [0xc3, 0xa9], 0],
  ['half an é', [0x61, 0xc3], 1],
  ['two thirds of €', [0xe2, 0x82], 2],
  ['the whole €', [0xe2, 0x82, 0xac], 0],
  ['three quarters of an emoji', [0xf0, 0x9f, 0x98], 3],
  ['the whole emoji', [0xf0, 0x9f, 0x98, 0x80], 0],
  ['continuation bytes of nothing', [0x80, 0x80, 0x80, 0x80], 0],
  ['a byte that never stands in UTF-8', [0xff], 0],
  ['an overlong lead', [0xc0], 0],
])('%s', (_, bytes, expected) => {
  expect(unfinishedBytes(Uint8Array.from(bytes))).toBe(expected);
});
