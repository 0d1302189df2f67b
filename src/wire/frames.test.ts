import { expect, test } from 'vitest';
import { limits } from './agent-protocol.ts';
import { encodeFrame, FrameDecoder, slices } from './frames.ts';

const frames = [
  { channel: 1, payload: Buffer.from('hello') },
  { channel: 4, payload: Buffer.alloc(0) },
  { channel: 255, payload: Buffer.of(0) },
  { channel: 2, payload: Buffer.alloc(limits.framePayloadBytes, 7) },
  { channel: 3, payload: Buffer.from('{}') },
];

const bytes = (): Buffer => Buffer.concat(frames.map(({ channel, payload }) => encodeFrame(channel, payload)));

function decode(pieces: Iterable<Buffer>) {
  const decoder = new FrameDecoder();
  const got = [];
  for (const piece of pieces) {
    for (const { channel, payload, message } of decoder.push(piece)) {
      expect(message).toEqual(Buffer.concat([Buffer.of(channel), payload]));
      got.push({ channel, payload: Buffer.from(payload) });
    }
  }
  return { got, idle: decoder.idle };
}

function* cut(whole: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < whole.length; at += size) yield Buffer.from(whole.subarray(at, at + size));
}

test.each([1, 2, 3, 4, 5, 6, 7, 11, 4096, 32_773, 1 << 20])('frames come out whole from pieces of %d bytes', (size) => {
  expect(decode(cut(bytes(), size))).toEqual({ got: frames, idle: true });
});

test('a cut inside of a frame is seen', () => {
  const whole = bytes();
  for (const length of [1, 4, 7, whole.length - 1]) {
    expect(decode([Buffer.from(whole.subarray(0, length))]).idle).toBe(false);
  }
});

test('a length over the limit is refused before anything is allocated', () => {
  const decoder = new FrameDecoder();
  expect(() => [...decoder.push(Buffer.from([1, 0xff, 0xff, 0xff, 0xff]))]).toThrow('a frame of 4294967295 bytes');
});

test('a payload is sent in slices that fit', () => {
  const payload = Buffer.alloc(limits.framePayloadBytes * 2 + 1, 'x');
  expect([...slices(payload)].map(({ length }) => length)).toEqual([
    limits.framePayloadBytes,
    limits.framePayloadBytes,
    1,
  ]);
  expect([...slices(Buffer.alloc(0))]).toEqual([]);
  expect(() => encodeFrame(0, payload)).toThrow(`over ${limits.framePayloadBytes}`);
});
