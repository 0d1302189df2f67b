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
  ['go1.26.8', 'local', true],
  ['go1.27rc1', 'local', true],
  ['go2.0', 'local', true],
  ['go1.25.9', 'local', false],
  ['go1.25.9', 'auto', true],
  ['go1.19.8', undefined, false],
  ['devel', 'auto', false],
  [undefined, undefined, false],
])('go version %s with GOTOOLCHAIN=%s is new enough: %s', (version, toolchain, expected) => {
  expect(isGoNewEnough(version, toolchain)).toBe(expected);
});
