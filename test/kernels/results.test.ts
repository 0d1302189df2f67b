import { describe, expect, it } from 'vitest';
import type { Facts } from './facts.ts';
import { readReport, withTable } from './results.ts';

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

const page = 'words\n<!-- The table below is written by `make kernels`. -->\nold\n<!-- End of the table. -->\nmore\n';

describe('the table of kernels', () => {
  it('says what is there, what is missing, and which tests failed', () => {
    const old = { ...facts, features: { ...features, cgroupKill: false }, legacyHierarchies: 9, securityModules: [] };
    const results = [
      { name: 'a', kernel: '6.1', facts, passed: 7, failed: [] },
      { name: 'b', kernel: '5.4', facts: old, passed: 6, failed: ['a shell'] },
    ];
    expect(withTable(page, results, ['a', 'b']).split('\n').slice(4, -2)).toEqual([
      '| a: 6.1 | v2 alone: cpu memory | lockdown apparmor | one loop device | nothing | 7 of 7 |',
      '| b: 5.4 | v2 beside 9 hierarchies of v1 | none | one loop device | cgroupKill | 6 of 7; not: a shell |',
      '<!-- End of the table. -->',
    ]);
  });

  it('takes the place of the one before it, and of nothing else', () => {
    const result = { name: 'a', kernel: '6.1', facts, passed: 1, failed: [] };
    const once = withTable(page, [result], ['a']);
    expect(once).toMatch(/^words\n<!--.*-->\n\| kernel [\s\S]*\| 1 of 1 \|\n<!-- End of the table. -->\nmore\n$/);
    expect(once).not.toContain('old');
    expect(withTable(once, [result], ['a'])).toBe(once);
    expect(() => withTable('no marks', [], [])).toThrow('marks');
  });

  it('keeps the rows of the kernels that did not run, in the order of the names', () => {
    const result = (name: string, passed: number) => ({ name, kernel: '6.1', facts, passed, failed: [] });
    const rows = (text: string): readonly string[] => text.match(/^\| [\w-]+: .* \| \d+ of/gm) ?? [];
    const names = ['trixie', 'trixie-backports', 'here'];
    const first = withTable(page, [result('here', 3), result('trixie', 1)], names);
    expect(rows(first)).toHaveLength(2);
    const second = withTable(first, [result('trixie-backports', 2), result('trixie', 4)], names);
    expect(rows(second).map((row) => row.slice(2).replace(/: .*\| (\d)/, ' $1'))).toEqual([
      'trixie 4 of',
      'trixie-backports 2 of',
      'here 3 of',
    ]);
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
