import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { once } from './build.ts';

let cache: string;
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'crashcart-once-'));
});
afterEach(() => rmSync(cache, { recursive: true, force: true }));

test('what is there is not made again, and a failure leaves nothing', async () => {
  const directory = join(cache, 'runc-0123');
  await expect(once(directory, async () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(readdirSync(cache)).toEqual([]);
  await once(directory, async (temporary) => writeFileSync(join(temporary, 'runc'), ''));
  await once(directory, async () => Promise.reject(new Error('made twice')));
  expect(existsSync(join(directory, 'runc'))).toBe(true);
});

test('two at once both end with one result', async () => {
  const directory = join(cache, 'runc-0123');
  const make = async (temporary: string): Promise<void> => writeFileSync(join(temporary, 'runc'), '');
  await Promise.all([once(directory, make), once(directory, make)]);
  expect(readdirSync(cache)).toEqual(['runc-0123']);
});

test('what a killed build left is removed after hours, not while another may be at it', async () => {
  const old = join(cache, 'runc-0123.Ab12Cd');
  const fresh = join(cache, 'runc-0123.Ef34Gh');
  const other = join(cache, 'runc-4567');
  for (const each of [old, fresh, other]) mkdirSync(each);
  const yesterday = new Date(Date.now() - 86_400_000);
  for (const each of [old, other]) utimesSync(each, yesterday, yesterday);
  await once(join(cache, 'runc-0123'), async () => {});
  expect(readdirSync(cache).sort()).toEqual(['runc-0123', 'runc-0123.Ef34Gh', 'runc-4567']);
});
