import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { lines } from './lines.ts';

const collect = async (pieces: readonly string[], max = 100): Promise<string[]> => {
  const got: string[] = [];
  for await (const line of lines(Readable.from(pieces.map((piece) => Buffer.from(piece))), max)) got.push(line);
  return got;
};

test('lines come out whole, however they were cut', async () => {
  expect(await collect(['a', 'b\nc', '\n\n', 'dé', 'f\n'])).toEqual(['ab', 'c', '', 'déf']);
});

test('a character cut in two comes out whole', async () => {
  const [first, second] = [Buffer.from('é\n').subarray(0, 1), Buffer.from('é\n').subarray(1)];
  const got: string[] = [];
  for await (const line of lines(Readable.from([first, second]), 10)) got.push(line);
  expect(got).toEqual(['é']);
});

test('what the sender did not finish is no line', async () => {
  expect(await collect(['a\nhalf'])).toEqual(['a']);
});

test('a line that is too long is refused, whether its end is there or not', async () => {
  await expect(collect(['x'.repeat(101)])).rejects.toThrow('more than 100 bytes');
  await expect(collect([`${'x'.repeat(60)}`, `${'x'.repeat(60)}\n`])).rejects.toThrow('more than 100 bytes');
  expect(await collect([`${'x'.repeat(100)}\n`])).toHaveLength(1);
});
