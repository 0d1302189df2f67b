import { expect, test } from 'vitest';
import { CrashcartError, describe as describeError, reasons } from './errors.ts';

test('the chain of causes is printed once each', () => {
  const root = new Error('ENOENT: no such file');
  const error = new CrashcartError(reasons.ToolboxNotFound, 'open the toolbox: ENOENT: no such file', { cause: root });
  expect(describeError(error)).toBe('open the toolbox: ENOENT: no such file');
  expect(describeError(new Error('a', { cause: new Error('b') }))).toBe('a: b');
});

test('what is not an error of ours becomes Internal and keeps its cause', () => {
  const cause = new TypeError('x is not a function');
  const error = CrashcartError.from(cause);
  expect(error.reason).toBe('Internal');
  expect(error.cause).toBe(cause);
  expect(CrashcartError.from(error)).toBe(error);
});
