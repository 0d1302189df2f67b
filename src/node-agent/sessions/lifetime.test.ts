import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Lifetime } from './lifetime.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const start = (
  maxDurationMs: number,
  idleTimeoutMs: number,
  more: Partial<ConstructorParameters<typeof Lifetime>[0]> = {},
) => {
  const [onLimit, onWarning] = [vi.fn(), vi.fn()];
  return { onLimit, onWarning, lifetime: new Lifetime({ maxDurationMs, idleTimeoutMs, onLimit, onWarning, ...more }) };
};
const hour = 3_600_000;

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

test('the grace counts from the moment in which the last client left, and anew when one comes back', () => {
  const { onLimit, lifetime } = start(hour, hour, { detachGraceMs: 10_000 });
  lifetime.attached(1);
  lifetime.attached(2);
  vi.advanceTimersByTime(60_000);
  lifetime.attached(1);
  vi.advanceTimersByTime(60_000);
  lifetime.attached(0);
  vi.advanceTimersByTime(9_000);
  lifetime.attached(1);
  vi.advanceTimersByTime(60_000);
  lifetime.attached(0);
  vi.advanceTimersByTime(9_999);
  expect(onLimit).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(onLimit.mock.calls).toEqual([['DetachGraceExceeded']]);
});

test('a session that nobody has attached to yet is not one that everybody has left', () => {
  const { onLimit, lifetime } = start(hour, hour, { detachGraceMs: 10_000 });
  lifetime.attached(0);
  vi.advanceTimersByTime(600_000);
  expect(onLimit).not.toHaveBeenCalled();
  lifetime[Symbol.dispose]();
});

test('one that was left under an earlier agent has its whole grace under this one', () => {
  const { onLimit } = start(hour, hour, { detachGraceMs: 10_000, left: true });
  vi.advanceTimersByTime(9_999);
  expect(onLimit).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(onLimit).toHaveBeenCalledOnce();
});

test('each end is announced a minute before, but for that of a session without anybody to tell', () => {
  const { onWarning } = start(hour, 600_000, { detachGraceMs: 300_000, left: true });
  vi.advanceTimersByTime(299_000);
  expect(onWarning).not.toHaveBeenCalled();
});

test('an end that was put off is announced again', () => {
  const { onLimit, onWarning, lifetime } = start(120_000, hour);
  vi.advanceTimersByTime(60_000);
  expect(onWarning.mock.calls).toEqual([['MaxDurationExceeded', 60_000]]);
  lifetime.extend(300_000);
  vi.advanceTimersByTime(179_999);
  expect(onWarning).toHaveBeenCalledOnce();
  vi.advanceTimersByTime(1);
  expect(onWarning.mock.calls[1]).toEqual(['MaxDurationExceeded', 60_000]);
  vi.advanceTimersByTime(60_000);
  expect(onLimit.mock.calls).toEqual([['MaxDurationExceeded']]);
});

test('the warning of idleness comes again after each new activity', () => {
  const { onWarning, lifetime } = start(24 * hour, 120_000);
  vi.advanceTimersByTime(60_000);
  vi.advanceTimersByTime(1_000);
  lifetime.touch();
  vi.advanceTimersByTime(59_999);
  expect(onWarning).toHaveBeenCalledOnce();
  vi.advanceTimersByTime(1);
  expect(onWarning.mock.calls).toEqual([
    ['IdleTimeout', 60_000],
    ['IdleTimeout', 60_000],
  ]);
  lifetime[Symbol.dispose]();
});
