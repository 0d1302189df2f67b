import { writeSync } from 'node:fs';
import fc from 'fast-check';
import { expect } from 'vitest';
import { loadKernel } from '../../src/linux/kernel.ts';
import { SessionMemory } from '../../src/node-agent/session/memory.ts';
import { parseProgress, parseResumption } from '../../src/wire/resume.ts';
import { fuzz } from './fuzz.ts';

const memory = SessionMemory.create(loadKernel());
const word = fc.oneof(fc.bigInt({ min: 0n, max: 1n << 22n }), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }));

fuzz(
  'ring: whatever stands in the shared memory, a reading ends, goes forwards and stays within its bound',
  fc.tuple(fc.array(word, { minLength: 8, maxLength: 16 }), fc.nat(1 << 22), fc.integer({ min: 1, max: 65_536 })),
  ([words, position, maxBytes]) => {
    const told = Buffer.alloc(64);
    for (const [at, value] of words.slice(0, 8).entries()) told.writeBigUInt64LE(value, at * 8);
    writeSync(memory.fd, told, 0, 64, 0);
    const runs = Buffer.alloc(64);
    for (const [at, value] of words.slice(8).entries()) runs.writeBigUInt64LE(value, at * 8);
    writeSync(memory.fd, runs, 0, 64, 8192);
    const piece = memory.read(position, maxBytes);
    if (piece === undefined) return;
    expect(piece.position).toBeGreaterThanOrEqual(position);
    expect(piece.payload.length).toBeGreaterThan(0);
    expect(piece.payload.length).toBeLessThanOrEqual(maxBytes);
  },
);

fuzz(
  'resume: whatever is said on the channel is understood or dropped',
  fc.uint8Array({ maxLength: 2_000 }),
  (bytes) => {
    for (const parsed of [parseProgress(bytes), parseResumption(bytes)]) {
      if (parsed?.position !== undefined) expect(Number.isSafeInteger(parsed.position)).toBe(true);
    }
  },
);
