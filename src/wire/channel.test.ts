import { expect, test } from 'vitest';
import { decodeMessage, encodeMessage, parseResize, resizePayload } from './channel.ts';

test('a message is its channel and its payload', () => {
  const message = encodeMessage(1, Buffer.from('hi'));
  expect(message).toEqual(Buffer.from('\u0001hi', 'latin1'));
  expect(decodeMessage(message)).toEqual({ channel: 1, payload: Buffer.from('hi') });
  expect(decodeMessage(encodeMessage(255, Buffer.of(0)))).toEqual({ channel: 255, payload: Buffer.of(0) });
});

test('a message without a channel is refused', () => {
  expect(() => decodeMessage(Buffer.alloc(0))).toThrow('empty');
});

test.each([
  ['{"Width":80,"Height":24}', { width: 80, height: 24 }],
  ['{"width":80,"height":24}', { width: 80, height: 24 }],
  [resizePayload({ width: 1, height: 65535 }).toString(), { width: 1, height: 65535 }],
])('%s is a size', (payload, size) => {
  expect(parseResize(Buffer.from(payload))).toEqual(size);
});

test.each([
  '',
  'null',
  '7',
  '[80,24]',
  '{"Width":80}',
  '{"Width":"80","Height":24}',
  '{"Width":0,"Height":24}',
  '{"Width":65536,"Height":24}',
  '{"Width":1.5,"Height":24}',
  `{"Width":80,"Height":24,"x":"${'y'.repeat(300)}"}`,
])('%j is no size', (payload) => {
  expect(parseResize(Buffer.from(payload))).toBeUndefined();
});
