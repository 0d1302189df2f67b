import { expect, test } from 'vitest';
import { run, together, until } from './command.ts';

test('a failing program is reported with the end of what it said', async () => {
  await expect(run('sh', ['-c', 'echo because >&2; exit 3'])).rejects.toThrow(/because/);
});

test('a program gets its input and hands back its output', async () => {
  expect(await run('cat', [], { input: 'text' })).toBe('text');
});

test('when one task fails the others are waited for', async () => {
  let finished = false;
  const slow = new Promise((resolve) => setTimeout(resolve, 20)).then(() => {
    finished = true;
  });
  await expect(together([slow, Promise.reject(new Error('first'))])).rejects.toThrow('first');
  expect(finished).toBe(true);
});

test('waiting ends with the name of what did not come, or at once when it is aborted', async () => {
  await expect(until('The thing', () => undefined, { timeout: 5, every: 1 })).rejects.toThrow('The thing: not within');
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(until('The thing', () => undefined, { timeout: 60_000, signal })).rejects.toThrow('enough');
});
