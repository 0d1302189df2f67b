import { expect, test } from 'vitest';
import { PlayClock } from './play-clock.ts';

function setUp({ speed = 1, maxIdleMs = 2_000 } = {}) {
  let nowMs = 1_000;
  const clock = new PlayClock({ speed, maxIdleMs, now: () => nowMs });
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { clock, pass };
}

test('an event is due when its time has come, and what was late does not delay the rest', () => {
  const { clock, pass } = setUp();
  clock.aim(0.5);
  expect(clock.waitMs()).toBe(500);
  pass(700);
  expect(clock.waitMs()).toBe(0);
  clock.aim(1);
  expect(clock.waitMs()).toBe(300);
});

test('a long pause is cut, at every speed', () => {
  const { clock, pass } = setUp({ speed: 4 });
  clock.aim(3_600);
  expect(clock.waitMs()).toBe(500);
  pass(500);
  clock.aim(3_601);
  expect(clock.waitMs()).toBe(250);
  expect(setUp({ maxIdleMs: Number.POSITIVE_INFINITY }).clock.waitMs()).toBe(0);
});

test('pause, skip and speed', () => {
  const { clock, pass } = setUp();
  clock.aim(2);
  pass(500);
  clock.toggle();
  expect(clock.waitMs()).toBe(Number.POSITIVE_INFINITY);
  pass(60_000);
  clock.toggle();
  expect(clock.waitMs()).toBe(1_500);
  clock.setSpeed(2);
  expect(clock.waitMs()).toBe(750);
  clock.skip(5_000);
  expect(clock.waitMs()).toBe(0);
  clock.aim(8);
  expect(clock.waitMs()).toBe(0);
});

test('times that go back are now', () => {
  const { clock } = setUp();
  clock.aim(1);
  clock.skip(1_000);
  clock.aim(0.2);
  expect(clock.waitMs()).toBe(0);
});
