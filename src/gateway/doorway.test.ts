import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Doorway } from './doorway.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

class Visitor extends EventEmitter {
  readonly remoteAddress: string;
  readonly remotePort: number;
  destroyed = false;

  constructor(remoteAddress: string, remotePort: number) {
    super();
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
  }

  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

const doorway = (): Doorway => new Doorway({ places: 3, withinMs: 1_000 });
const come = (door: Doorway, address: string, port: number): Visitor => {
  const visitor = new Visitor(address, port);
  door.enter(visitor as unknown as Socket);
  return visitor;
};

test('a flood from one address turns out itself, and nobody of another address', () => {
  const door = doorway();
  const agent = come(door, '10.0.0.1', 1);
  const flood = Array.from({ length: 100 }, (_, port) => come(door, '10.0.0.66', port));
  const late = come(door, '10.0.0.2', 1);
  expect([agent.destroyed, late.destroyed]).toEqual([false, false]);
  expect(flood.filter(({ destroyed }) => !destroyed)).toEqual([flood.at(-1)]);
});

test('when all come from addresses of their own, those who wait get to their end and who comes later is turned away', () => {
  const door = doorway();
  const agents = Array.from({ length: 10 }, (_, at) => come(door, `10.0.0.${at}`, 1));
  expect(agents.map(({ destroyed }) => destroyed)).toEqual([false, false, false, ...Array(7).fill(true)]);
  door.passed(agents[0] as unknown as Socket);
  expect(come(door, '10.0.0.3', 2).destroyed).toBe(false);
});

test('whoever has passed holds no place and is left alone', () => {
  const door = doorway();
  const agent = come(door, '10.0.0.1', 1);
  door.passed(agent as unknown as Socket);
  const others = [1, 2, 3].map((port) => come(door, '10.0.0.66', port));
  vi.advanceTimersByTime(2_000);
  expect(agent.destroyed).toBe(false);
  expect(others.map(({ destroyed }) => destroyed)).toEqual([true, true, true]);
});
