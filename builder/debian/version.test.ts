import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { compareVersions } from './version.ts';

describe('compareVersions', () => {
  const ordered = [
    '0~~',
    '0~~a',
    '0~',
    '0',
    '0a',
    '0.1',
    '0.9',
    '0.10',
    '1.0~rc1-1',
    '1.0-1~bpo1',
    '1.0-1',
    '1.0-1+b1',
    '1.0-1+deb13u1',
    '1.0-1.1',
    '1.0-2',
    '1.0a-1',
    '1.0+dfsg-1',
    '1.00000000000000000000000000000000001',
    '1:0.1',
    '1:0.1-1',
    '2:0',
  ];

  it('orders as dpkg does', () => {
    const shuffled = ordered.toSorted((a, b) =>
      a.split('').reverse().join('') < b.split('').reverse().join('') ? -1 : 1,
    );
    expect(shuffled.toSorted(compareVersions)).toEqual(ordered);
  });

  it.runIf(spawnSync('dpkg', ['--version']).status === 0)(
    'says of every pair what dpkg says',
    { timeout: 60_000 },
    () => {
      const pairs = ordered.flatMap((a) => ordered.map((b) => [a, b] as const)).filter((_, at) => at % 3 === 0);
      for (const [a, b] of pairs) {
        const isOlder = spawnSync('dpkg', ['--compare-versions', a, 'lt', b]).status === 0;
        expect([a, b, compareVersions(a, b) < 0]).toEqual([a, b, isOlder]);
      }
    },
  );

  it('takes leading zeros for nothing', () => {
    expect(compareVersions('1.01-1', '1.1-1')).toBe(0);
  });
});
