import { expect, test } from 'vitest';
import { explain, isGoNewEnough } from './preflight.ts';

test('everything that is missing stands in one message with one apt-get command', () => {
  const text = explain([
    { what: 'nft', apt: 'nftables' },
    { what: 'unshare', apt: 'util-linux' },
    { what: 'nsenter', apt: 'util-linux' },
    { what: 'root', otherwise: 'use sudo' },
  ]);
  expect(text).toContain('nft, unshare, nsenter, root');
  expect(text.match(/apt-get install/g)).toHaveLength(1);
  expect(text).toContain(' nftables util-linux\n');
  expect(text).toContain('root: use sudo.');
});

test.each([
  ['go1.26.8', true],
  ['go1.27rc1', true],
  ['go2.0', true],
  ['go1.25.9', false],
  ['devel', false],
  [undefined, false],
])('go version %s is new enough: %s', (version, expected) => {
  expect(isGoNewEnough(version)).toBe(expected);
});
