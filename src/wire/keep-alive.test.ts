import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { keepAlive } from './keep-alive.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A peer that answers each ping after 20 ms until it falls silent. Answers how long it took to be declared dead. */
async function secondsToDeath(silentAtMs: number): Promise<number> {
  const from = performance.now();
  const now = (): number => performance.now() - from;
  let diedAt = Number.NaN;
  const stop = keepAlive({
    ping: (onPong) => {
      setTimeout(() => {
        if (now() < silentAtMs) onPong();
      }, 20);
    },
    dead: () => {
      diedAt = now();
    },
  });
  await vi.advanceTimersByTimeAsync(silentAtMs + 120_000);
  stop();
  return (diedAt - silentAtMs) / 1_000;
}

test.each([0, 1, 5_000, 9_999, 10_010, 10_021, 15_000, 60_019, 60_021])(
  'who falls silent after %i ms is seen within 30 s, and not for a ping or two',
  async (silentAtMs) => {
    const seconds = await secondsToDeath(silentAtMs);
    expect(seconds).toBeLessThanOrEqual(30);
    expect(seconds).toBeGreaterThan(15);
  },
);

test('who answers lives, and who has a reason to be silent is given its time', async () => {
  const dead = vi.fn();
  const stop = keepAlive({ ping: (onPong) => onPong(), dead });
  await vi.advanceTimersByTimeAsync(3_600_000);
  stop();
  const stopPatient = keepAlive({ ping: () => undefined, dead, patienceMs: () => 600_000 });
  await vi.advanceTimersByTimeAsync(600_000);
  expect(dead).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(20_000);
  expect(dead).toHaveBeenCalledOnce();
  stopPatient();
});
