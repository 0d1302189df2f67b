import { expect, test } from 'vitest';
import { unconfirmedInputBytes } from '../../wire/resume.ts';
import { mostBlocks, WaitingInput } from './waiting-input.ts';

/** Takes so many bytes at most each time it is asked. */
function taker(most: number) {
  const taken: Buffer[] = [];
  const take = (payload: Uint8Array): number => {
    const piece = payload.subarray(0, most);
    taken.push(Buffer.from(piece));
    return piece.length;
  };
  return { take, all: () => Buffer.concat(taken) };
}

test('what waits comes out in its order, in whatever pieces it goes in and out', () => {
  const waiting = new WaitingInput();
  const input = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 131 + (at >> 8)) & 0xff));
  for (let at = 0, size = 1; at < input.length; at += size, size = (size * 7 + 13) % 60_000) {
    expect(waiting.push(input.subarray(at, at + size))).toBe(true);
    size = Math.max(1, Math.min(size, input.length - at));
  }
  const { take, all } = taker(777);
  for (let round = 0; !waiting.empty && round < 1_000; round += 1) waiting.flow(take);
  expect(all().equals(input)).toBe(true);
});

test('who takes nothing is asked once, and nothing is lost by it', () => {
  const waiting = new WaitingInput();
  waiting.push(Buffer.from('typed'));
  let asked = 0;
  waiting.flow(() => {
    asked += 1;
    return 0;
  });
  expect([asked, waiting.empty]).toEqual([1, false]);
  const { take, all } = taker(100);
  waiting.flow(take);
  expect([all().toString(), waiting.empty]).toEqual(['typed', true]);
});

test('all that may come unconfirmed has room, a read of a pipe besides, and no more', () => {
  const waiting = new WaitingInput();
  const piece = Buffer.alloc(32 * 1024);
  let pushed = 0;
  while (waiting.push(piece)) pushed += piece.length;
  expect(pushed).toBeGreaterThanOrEqual(unconfirmedInputBytes + 64 * 1024);
  expect(pushed).toBeLessThan(1.5 * unconfirmedInputBytes);
  waiting.drop();
});

test('the clients of an agent have a bound together, and what is dropped makes room', () => {
  const clients = Array.from({ length: 100 }, () => new WaitingInput());
  const piece = Buffer.alloc(64 * 1024);
  const fill = (): number =>
    clients.reduce((sum, each) => sum + Array.from({ length: 16 }, () => each.push(piece)).filter(Boolean).length, 0);
  expect(fill()).toBe(mostBlocks);
  clients[0]?.drop();
  clients[1]?.flow(({ length }) => length);
  expect(fill()).toBe(32);
  for (const each of clients) each.drop();
  expect(fill()).toBe(mostBlocks);
  for (const each of clients) each.drop();
});
