import fc from 'fast-check';
import { expect } from 'vitest';
import { Ring } from '../../src/node-agent/sessions/ring.ts';
import { fuzz } from './fuzz.ts';

const pushes = fc.array(fc.tuple(fc.constantFrom(1, 2), fc.uint8Array({ maxLength: 90 })), { maxLength: 30 });
fuzz(
  'ring: the last bytes in their order, and never more than its capacity',
  fc.tuple(fc.integer({ min: 1, max: 200 }), pushes, fc.integer({ min: 1, max: 64 })),
  ([capacity, pushed, maxPayload]) => {
    const ring = new Ring(capacity);
    const all: [number, number][] = [];
    for (const [channel, bytes] of pushed) {
      ring.push(channel, bytes);
      for (const byte of bytes) all.push([channel, byte]);
      expect(ring.length).toBe(Math.min(all.length, capacity));
    }
    const held: [number, number][] = [];
    for (const { channel, payload } of ring.frames(maxPayload)) {
      expect(payload.length).toBeLessThanOrEqual(maxPayload);
      for (const byte of payload) held.push([channel, byte]);
    }
    expect(held).toEqual(all.slice(-capacity));
  },
);
