import { expect, it } from 'vitest';
import { planOf, victims } from './plan.ts';

it('plans the same for the same seed, and every kind of thing within a few hundred cycles', () => {
  const plans = Array.from({ length: 400 }, (_, cycle) => planOf(7, cycle));
  expect(planOf(7, 123)).toEqual(plans[123]);
  const struck = plans.flatMap(({ strikes }) => strikes.map(({ victim }) => victim));
  expect(new Set(struck)).toEqual(new Set(victims));
  expect(new Set(plans.map(({ journal }) => journal))).toEqual(new Set(['whole', 'unfinished', 'torn']));
  expect(new Set(plans.map(({ sessions }) => sessions.length))).toEqual(new Set([1, 2, 3]));
  expect(Math.max(...plans.map(({ strikeAfterMs }) => strikeAfterMs))).toBeGreaterThan(200);
});
