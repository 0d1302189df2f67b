import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
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

const doorway = (line = 0): Doorway => new Doorway({ places: 3, withinMs: 1_000, line });
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

describe('with a line', () => {
  const begun: number[] = [];
  const arrive = (door: Doorway, address: string, port: number): Visitor => {
    const visitor = new Visitor(address, port);
    door.enter(visitor as unknown as Socket, () => begun.push(port));
    return visitor;
  };
  beforeEach(() => void begun.splice(0));

  test('who comes from an address of its own waits for its turn, in order', () => {
    const door = doorway(2);
    const agents = Array.from({ length: 6 }, (_, at) => arrive(door, `10.0.0.${at}`, at));
    expect(begun).toEqual([0, 1, 2]);
    expect(agents.map(({ destroyed }) => destroyed)).toEqual([false, false, false, false, false, true]);
    door.passed(agents[1] as unknown as Socket);
    expect(begun).toEqual([0, 1, 2, 3]);
    agents[0]?.destroy();
    expect(begun).toEqual([0, 1, 2, 3, 4]);
    door.passed(agents[0] as unknown as Socket);
    expect(begun).toHaveLength(5);
  });

  test('it has its whole time from then on, and in the line half of it', () => {
    const door = doorway(2);
    const agents = Array.from({ length: 5 }, (_, at) => arrive(door, `10.0.0.${at}`, at));
    vi.advanceTimersByTime(400);
    door.passed(agents[0] as unknown as Socket);
    vi.advanceTimersByTime(150);
    expect(agents.map(({ destroyed }) => destroyed)).toEqual([false, false, false, false, true]);
    vi.advanceTimersByTime(800);
    expect(agents.map(({ destroyed }) => destroyed)).toEqual([false, true, true, false, true]);
    vi.advanceTimersByTime(100);
    expect(agents[3]?.destroyed).toBe(true);
  });

  test('one that has gone meanwhile is not begun with', () => {
    const door = doorway(2);
    const agents = Array.from({ length: 5 }, (_, at) => arrive(door, `10.0.0.${at}`, at));
    agents[3]?.destroy();
    door.passed(agents[0] as unknown as Socket);
    expect(begun).toEqual([0, 1, 2, 4]);
  });

  test('a flood from one address neither fills it nor holds up those who come by themselves', () => {
    const door = doorway(2);
    const flood = Array.from({ length: 50 }, (_, port) => arrive(door, '10.0.0.66', port));
    expect(flood.filter(({ destroyed }) => !destroyed)).toHaveLength(3);
    begun.splice(0);
    const agents = [101, 102, 103, 104].map((port) => arrive(door, `10.0.0.${port}`, port));
    expect(agents.map(({ destroyed }) => destroyed)).toEqual([false, false, false, false]);
    expect(begun).toEqual([101, 102]);
  });
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
