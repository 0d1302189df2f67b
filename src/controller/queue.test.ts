import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { type Outcome, WorkQueue } from './queue.ts';

function recorder(handle: (key: string) => Promise<Outcome> = async () => ({})) {
  const seen: string[] = [];
  const errors: string[] = [];
  const queue = new WorkQueue({
    handle: (key) => {
      seen.push(key);
      return handle(key);
    },
    onError: (key) => errors.push(key),
    random: () => 0,
  });
  return { queue, seen, errors };
}

test('one key is never in two hands, and what comes meanwhile is worked on once afterwards', async () => {
  const gate = Promise.withResolvers<void>();
  let inHand = 0;
  let most = 0;
  const { queue, seen } = recorder(async () => {
    most = Math.max(most, ++inHand);
    await gate.promise;
    inHand--;
    return {};
  });
  queue.add('a');
  queue.add('a');
  queue.add('a');
  expect(queue.depth).toBe(1);
  gate.resolve();
  await vi.waitFor(() => expect(seen).toEqual(['a', 'a']));
  await sleep(20);
  expect({ seen, most }).toEqual({ seen: ['a', 'a'], most: 1 });
});

test('different keys are worked on side by side', async () => {
  const gate = Promise.withResolvers<void>();
  const { queue, seen } = recorder(async () => {
    await gate.promise;
    return {};
  });
  queue.add('a');
  queue.add('b');
  expect(seen).toEqual(['a', 'b']);
  gate.resolve();
});

test('an error comes again after a pause, and is told each time', async () => {
  let failures = 2;
  const { queue, seen, errors } = recorder(async () => {
    if (failures-- > 0) throw new Error('no');
    return {};
  });
  queue.add('a');
  await vi.waitFor(() => expect(seen.length).toBe(3));
  expect(errors).toEqual(['a', 'a']);
});

test('the sooner of two later looks wins', async () => {
  const { queue, seen } = recorder();
  queue.addAfter('a', 60_000);
  queue.addAfter('a', 5);
  queue.addAfter('a', 60_000);
  await vi.waitFor(() => expect(seen).toEqual(['a']));
  await queue.stop();
});

test('the handler can ask for another look', async () => {
  let turns = 0;
  const { queue, seen } = recorder(async () => (++turns < 3 ? { requeueAfterMs: 1 } : {}));
  queue.add('a');
  await vi.waitFor(() => expect(seen.length).toBe(3));
});

test('stop waits for what is in hand and takes no more', async () => {
  const gate = Promise.withResolvers<void>();
  const { queue, seen } = recorder(async () => {
    await gate.promise;
    return { requeueAfterMs: 1 };
  });
  queue.add('a');
  queue.add('a');
  let stopped = false;
  const stopping = queue.stop().then(() => {
    stopped = true;
  });
  queue.add('b');
  await sleep(5);
  expect(stopped).toBe(false);
  gate.resolve();
  await stopping;
  await sleep(10);
  expect(seen).toEqual(['a']);
});
