import { expect, test } from 'vitest';
import { ownLimits, parseLimits, resourceNumber, unlimited, withinLimits } from './rlimits.ts';

const files = resourceNumber('NOFILE')!;

test('the kernel’s table is read by its titles, and what is not known is left out', () => {
  const text =
    'Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 unlimited            files\nMax novelty  1  2  x\n';
  expect(parseLimits(text)).toEqual([{ resource: files, soft: 1024n, hard: unlimited }]);
  expect(ownLimits()).toHaveLength(16);
});

test.each([
  ['within ours stays', [77n, 88n], [77n, 88n]],
  ['with a hard limit above ours gets ours', [77n, 900n], [77n, 100n]],
  ['without any limit gets ours twice', [unlimited, unlimited], [100n, 100n]],
  ['with a soft limit above its hard one gets that', [90n, 80n], [80n, 80n]],
])('a limit %s', (_what, [soft, hard], [expectedSoft, expectedHard]) => {
  const own = [{ resource: files, soft: 50n, hard: 100n }];
  expect(withinLimits([{ resource: files, soft: soft!, hard: hard! }], own)).toEqual([
    { resource: files, soft: expectedSoft, hard: expectedHard },
  ]);
  expect(withinLimits([{ resource: files + 1, soft: soft!, hard: unlimited }], own)[0]!.hard).toBe(unlimited);
});
