import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Lifetime } from './lifetime.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const start = (maxDurationMs: number, idleTimeoutMs: number) => {
  const onLimit = vi.fn();
  return { onLimit, lifetime: new Lifetime({ maxDurationMs, idleTimeoutMs, onLimit }) };
};

test('the longest duration ends a session however busy it is', () => {
  const { onLimit, lifetime } = start(10_000, 3_000);
  for (let at = 0; at < 9; at += 1) {
    vi.advanceTimersByTime(1_000);
    lifetime.touch();
  }
  expect(onLimit).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1_000);
  expect(onLimit.mock.calls).toEqual([['MaxDurationExceeded']]);
});

test('the idle time counts from the last byte', () => {
  const { onLimit, lifetime } = start(60_000, 3_000);
  vi.advanceTimersByTime(2_500);
  lifetime.touch();
  vi.advanceTimersByTime(2_999);
  expect(onLimit).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(onLimit.mock.calls).toEqual([['IdleTimeout']]);
});

test('a disposed lifetime reaches no limit', () => {
  const { onLimit, lifetime } = start(10, 10);
  lifetime[Symbol.dispose]();
  vi.advanceTimersByTime(1_000);
  expect(onLimit).not.toHaveBeenCalled();
});

test('a limit of years neither fires at once nor overflows the timer', () => {
  const { onLimit, lifetime } = start(2 ** 45, 2 ** 45);
  vi.advanceTimersByTime(2 ** 31);
  expect(onLimit).not.toHaveBeenCalled();
  lifetime[Symbol.dispose]();
});
