import { writeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadKernel } from '../../linux/kernel.ts';
import { inputBytes, SessionMemory } from './memory.ts';

/** The first words of `struct told`: head, tail, runs. */
function memoryWith(...words: readonly bigint[]): SessionMemory {
  const memory = SessionMemory.create(loadKernel());
  const told = Buffer.alloc(64);
  for (const [at, word] of words.entries()) told.writeBigUInt64LE(word, at * 8);
  writeSync(memory.fd, told, 0, told.length, 0);
  return memory;
}

test.each([
  ['a count of runs that sums beyond what a number holds exactly', [973_749n, 0n, 8_813_106_096_765_588n]],
  ['a count of runs above 2^53', [973_749n, 0n, 1n << 60n]],
  ['a head above 2^53', [1n << 60n, (1n << 60n) - 16_384n, 1n]],
])('reading ends, with nothing or within its bound: %s', (_, words) => {
  using memory = memoryWith(...words);
  expect(memory.read(200_333, 11)?.payload.length ?? 0).toBeLessThanOrEqual(11);
});

test('room that the supervisor has made since this turn began is taken: nobody would wake us for it', () => {
  using memory = memoryWith();
  const piece = Buffer.alloc(inputBytes / 2, 'x');
  expect(memory.write(piece)).toBe(piece.length);
  expect(memory.write(piece)).toBe(piece.length);
  expect(memory.write(piece)).toBe(0);
  const input = Buffer.alloc(8);
  input.writeBigUInt64LE(BigInt(inputBytes));
  writeSync(memory.fd, input, 0, input.length, 24);
  expect(memory.write(piece)).toBe(piece.length);
});
