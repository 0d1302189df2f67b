import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inScratch } from './scratch.ts';

describe('inScratch', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'scratch-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('gives a directory on the same disk, which is gone when the work is done, and when it has failed', async () => {
    const seen = await inScratch(join(directory, 'deep/out'), async (scratch) => {
      writeFileSync(join(scratch, 'part'), 'x');
      return scratch;
    });
    expect(seen.startsWith(join(directory, 'deep/.crashcart-out-'))).toBe(true);
    await expect(inScratch(join(directory, 'out'), () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(readdirSync(directory)).toEqual(['deep']);
    expect(readdirSync(join(directory, 'deep'))).toEqual([]);
  });

  it('takes away what a killed build left long ago, and nothing else', async () => {
    const names = [
      '.crashcart-out-AbCdEf',
      '.crashcart-out-fresh1',
      '.crashcart-out-other',
      '.crashcart-in-AbCdEf',
      'out',
    ];
    for (const name of names) {
      mkdirSync(join(directory, name));
      if (!name.includes('fresh')) utimesSync(join(directory, name), 1, 1);
    }
    await inScratch(join(directory, 'out'), async () => {});
    expect(readdirSync(directory).sort()).toEqual(names.slice(1).sort());
  });

  it('leaves nothing when it is interrupted', () => {
    const script = `import { exitOnSignals, inScratch } from '${join(import.meta.dirname, 'scratch.ts')}';
      exitOnSignals();
      setInterval(() => {}, 1000);
      await inScratch('${join(directory, 'out')}', () => { process.kill(process.pid, 'SIGINT'); return new Promise(() => {}); });`;
    const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', script]);
    expect(status).toBe(130);
    expect(existsSync(directory)).toBe(true);
    expect(readdirSync(directory)).toEqual([]);
  });
});
