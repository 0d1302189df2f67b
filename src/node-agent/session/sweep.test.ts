import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { silentLogger } from '../../base/log.ts';
import { sweepAgain } from './sweep.ts';

// A directory that cannot be removed stands for a cgroup with a process in a call that no signal ends.
test('a cgroup that cannot be removed is counted and tried again until it can, and none that is in use is touched', async () => {
  const root = mkdtempSync(join(tmpdir(), 'crashcart-sweep-'));
  const stuck = join(root, 'crashcart/stuck');
  for (const name of ['stuck', 'running', '_supervisors'])
    mkdirSync(join(root, 'crashcart', name), { recursive: true });
  writeFileSync(join(stuck, 'busy'), '');
  const [seen, said, stop] = [[] as number[], [] as string[], new AbortController()];
  const log = { ...silentLogger, error: (message: string) => said.push(message) };
  const swept = sweepAgain(
    { cgroups: { legacy: [root] }, log },
    {
      parents: () => ['/crashcart'],
      sessions: { has: (uid) => uid === 'running' },
      observe: (leftovers) => seen.push(leftovers),
      everyMs: 10,
      signal: stop.signal,
    },
  );
  await expect.poll(() => seen.length, { timeout: 10_000 }).toBeGreaterThan(1);
  expect(seen).toEqual(seen.map(() => 1));
  // Once, not at every look.
  expect(said).toEqual(['sessions left what cannot be removed yet']);
  rmSync(join(stuck, 'busy'));
  await expect.poll(() => seen.at(-1), { timeout: 10_000 }).toBe(0);
  expect(existsSync(stuck)).toBe(false);
  expect(['running', '_supervisors'].filter((name) => !existsSync(join(root, 'crashcart', name)))).toEqual([]);
  stop.abort();
  await swept;
  rmSync(root, { recursive: true });
}, 30_000);
