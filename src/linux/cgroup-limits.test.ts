import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { limitCgroup } from './cgroup-limits.ts';

const place = mkdtempSync(join(tmpdir(), 'crashcart-cgroups-'));
afterEach(() => rmSync(place, { recursive: true, force: true }));

/** Plain files where the kernel would have its own. */
function files(contents: Readonly<Record<string, string>>): void {
  for (const [file, text] of Object.entries(contents)) {
    mkdirSync(dirname(join(place, file)), { recursive: true });
    writeFileSync(join(place, file), text);
  }
}
const text = (file: string): string => readFileSync(join(place, file), 'utf8');
const limits = { memoryBytes: 1 << 30, pids: 1024, cpus: 0.5 };
const path = '/crashcart/one';
const unified = (offered: string, below: string): void =>
  files({
    'v2/cgroup.controllers': `${offered}\n`,
    'v2/cgroup.subtree_control': '',
    'v2/crashcart/cgroup.subtree_control': '',
    'v2/crashcart/one/cgroup.controllers': `${below}\n`,
    'v2/crashcart/one/memory.max': '',
    'v2/crashcart/one/memory.swap.max': '',
    'v2/crashcart/one/pids.max': '',
    'v2/crashcart/one/cpu.max': '',
  });

describe('limitCgroup', () => {
  it('writes each limit where its hierarchy is', () => {
    unified('cpu memory pids', 'cpu memory pids');
    expect(limitCgroup({ unified: join(place, 'v2'), legacy: [] }, path, limits)).toEqual([]);
    const written = ['memory.max', 'memory.swap.max', 'pids.max', 'cpu.max'].map((file) => text(`v2${path}/${file}`));
    expect(written).toEqual(['1073741824', '0', '1024', '50000 100000']);
  });

  it('enables above it what the hierarchy has and it lacks, and nothing else', () => {
    unified('cpuset cpu memory', 'memory');
    limitCgroup({ unified: join(place, 'v2'), legacy: [] }, path, limits);
    expect([text('v2/cgroup.subtree_control'), text('v2/crashcart/cgroup.subtree_control')]).toEqual(['+cpu', '+cpu']);
    unified('cpu memory pids', 'cpu memory pids');
    limitCgroup({ unified: join(place, 'v2'), legacy: [] }, path, limits);
    expect([text('v2/cgroup.subtree_control'), text('v2/crashcart/cgroup.subtree_control')]).toEqual(['', '']);
  });

  it('takes the hierarchies of v1 beside it, and says what none has', () => {
    files({
      'v2/cgroup.controllers': 'hugetlb\n',
      [`v2${path}/cgroup.controllers`]: 'hugetlb\n',
      [`memory${path}/memory.limit_in_bytes`]: '',
      [`memory${path}/memory.memsw.limit_in_bytes`]: '',
      [`cpu${path}/cpu.cfs_quota_us`]: '',
    });
    const legacy = ['memory', 'cpu', 'pids'].map((name) => join(place, name));
    expect(limitCgroup({ unified: join(place, 'v2'), legacy }, path, limits)).toEqual(['pids']);
    expect(text(`memory${path}/memory.limit_in_bytes`)).toBe('1073741824');
    expect(text(`memory${path}/memory.memsw.limit_in_bytes`)).toBe('1073741824');
    expect(text(`cpu${path}/cpu.cfs_quota_us`)).toBe('50000');
  });

  it('asks for nothing where nothing is limited', () => {
    files({ [`memory${path}/memory.limit_in_bytes`]: '' });
    expect(limitCgroup({ legacy: [join(place, 'memory')] }, path, {})).toEqual([]);
    expect(text(`memory${path}/memory.limit_in_bytes`)).toBe('');
  });
});
