import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lock } from './lock.ts';

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'lock-'));
});
afterEach(() => rmSync(scratch, { recursive: true }));

test('a second taker is told who holds the lock, and gets it once it is released', () => {
  const directory = join(scratch, 'cluster');
  {
    using _held = lock(directory);
    expect(() => lock(directory)).toThrow(`Process ${process.pid} is bringing up`);
  }
  expect(existsSync(`${directory}.lock`)).toBe(false);
  using _again = lock(directory);
});

test('a lock whose holder is gone is taken over', () => {
  const directory = join(scratch, 'cluster');
  writeFileSync(`${directory}.lock`, JSON.stringify({ pid: process.pid, startTime: 'long ago' }));
  using _held = lock(directory);
  expect(existsSync(`${directory}.lock`)).toBe(true);
});
