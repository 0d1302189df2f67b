import { expect, test } from 'vitest';
import { Ring } from './ring.ts';

const text = (ring: Ring, max = 1024): [number, string][] =>
  ring.frames(max).map(({ channel, payload }) => [channel, Buffer.from(payload).toString()]);

test('what fits comes back in the order in which stdout and stderr wrote it', () => {
  const ring = new Ring(64);
  ring.push(1, Buffer.from('one '));
  ring.push(1, Buffer.from('two '));
  ring.push(2, Buffer.from('oops '));
  ring.push(1, Buffer.from('three'));
  expect(text(ring)).toEqual([
    [1, 'one two '],
    [2, 'oops '],
    [1, 'three'],
  ]);
  expect(ring.room).toBe(64 - ring.length);
});

test('the oldest bytes are overwritten first, across channels', () => {
  const ring = new Ring(8);
  ring.push(1, Buffer.from('abcd'));
  ring.push(2, Buffer.from('efgh'));
  ring.push(1, Buffer.from('ijk'));
  expect(text(ring)).toEqual([
    [1, 'd'],
    [2, 'efgh'],
    [1, 'ijk'],
  ]);
  ring.push(1, Buffer.from('0123456789'));
  expect(text(ring)).toEqual([[1, '23456789']]);
});

test('frames are cut to the size asked for and never mix channels', () => {
  const ring = new Ring(64);
  ring.push(1, Buffer.from('abcdefg'));
  ring.push(2, Buffer.from('xy'));
  expect(text(ring, 3)).toEqual([
    [1, 'abc'],
    [1, 'def'],
    [1, 'g'],
    [2, 'xy'],
  ]);
});

test('a frame is a copy that later writes do not change', () => {
  const ring = new Ring(4);
  ring.push(1, Buffer.from('abcd'));
  const [frame] = ring.frames(4);
  ring.push(1, Buffer.from('wxyz'));
  expect(Buffer.from(frame!.payload).toString()).toBe('abcd');
});

test('ten thousand random writes always leave the last bytes, whole and in order', () => {
  const ring = new Ring(10_000);
  let expected = Buffer.alloc(0);
  let seed = 7;
  for (let round = 0; round < 10_000; round += 1) {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    const payload = Buffer.alloc(seed % 700, round % 251);
    ring.push(1, payload);
    expected = Buffer.concat([expected, payload]).subarray(-10_000);
  }
  expect(Buffer.concat(ring.frames(777).map(({ payload }) => payload)).equals(expected)).toBe(true);
});

test('a byte to stdout and stderr in turn stays bounded', () => {
  const ring = new Ring(1024 * 1024);
  for (let round = 0; round < 20_000; round += 1) ring.push(1 + (round % 2), Buffer.from('x'));
  expect(ring.frames(1024).length).toBeLessThanOrEqual(4096);
  expect(ring.room).toBe(0);
});

test('an empty write changes nothing', () => {
  const ring = new Ring(8);
  ring.push(1, Buffer.alloc(0));
  expect(ring.frames(8)).toEqual([]);
});
