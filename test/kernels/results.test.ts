import { describe, expect, it } from 'vitest';
import type { Facts } from './facts.ts';
import { kernelTable, readReport, withTable } from './results.ts';

const features = {
  pidfd: true,
  openat2: true,
  mountApi: true,
  idmappedMounts: true,
  closeRange: true,
  bpf: true,
  erofs: true,
  cgroupKill: true,
};
const facts: Facts = {
  release: '6.1.0-50-amd64',
  features,
  toolbox: 'one loop device',
  legacyHierarchies: 0,
  controllers: ['cpu', 'memory'],
  securityModules: ['lockdown', 'apparmor'],
};

describe('the table of kernels', () => {
  it('says what is there, what is missing, and which tests failed', () => {
    const old = { ...facts, features: { ...features, cgroupKill: false }, legacyHierarchies: 9, securityModules: [] };
    expect(
      kernelTable([
        { kernel: 'a', facts, passed: 7, failed: [] },
        { kernel: 'b', facts: old, passed: 6, failed: ['a shell'] },
      ])
        .split('\n')
        .slice(2),
    ).toEqual([
      '| a | v2 alone: cpu memory | lockdown apparmor | one loop device | nothing | 7 of 7 |',
      '| b | v2 beside 9 hierarchies of v1 | none | one loop device | cgroupKill | 6 of 7; not: a shell |',
      '',
    ]);
  });

  it('takes the place of the one before it, and of nothing else', () => {
    const page =
      'words\n<!-- The table below is written by `make kernels`. -->\nold\n<!-- End of the table. -->\nmore\n';
    const once = withTable(page, [{ kernel: 'a', facts, passed: 1, failed: [] }]);
    expect(once).toMatch(/^words\n<!--.*-->\n\| kernel [\s\S]*\| 1 of 1 \|\n<!-- End of the table. -->\nmore\n$/);
    expect(once).not.toContain('old');
    expect(withTable(once, [{ kernel: 'a', facts, passed: 1, failed: [] }])).toBe(once);
    expect(() => withTable('no marks', [])).toThrow('marks');
  });
});

describe('a report of the tests', () => {
  it('counts what passed, names what did not, and a file that never began', () => {
    const assertion = (fullName: string, status: string) => ({ fullName, status });
    const report = {
      numPassedTests: 1,
      testResults: [
        { name: 'x.test.ts', status: 'failed', assertionResults: [assertion('a', 'passed'), assertion('b', 'failed')] },
        { name: 'y.test.ts', status: 'failed', message: 'no such module', assertionResults: [] },
        { name: 'z.test.ts', status: 'passed', assertionResults: [assertion('c', 'skipped')] },
      ],
    };
    expect(readReport(JSON.stringify(report))).toEqual({ passed: 1, failed: ['b', 'y.test.ts: no such module', 'c'] });
  });
});
