import { describe, expect, it } from 'vitest';
import type { Lock, LockedPackage } from '../debian/lock.ts';
import { parsePackages } from '../debian/packages-file.ts';
import { withPackage } from './add.ts';
import { changes } from './diff.ts';
import { keeping } from './lock.ts';

const list = '# the list\n[slim]\nshell:\n  bash  # why\n\n[core: slim]\nnetwork:\n  curl\n\n[host]\n  zstd\n';

describe('builder/packages', () => {
  it('is read with its tasks, sections that contain others, and architectures', () => {
    const sections = parsePackages(`${list}[own: core]\ntracing:\n  gdb [arm64]\n`);
    expect(sections.map(({ name }) => name)).toEqual(['slim', 'core', 'host', 'own']);
    expect(sections[3]?.packages).toEqual([
      { name: 'bash', task: 'shell' },
      { name: 'curl', task: 'network' },
      { name: 'gdb', task: 'tracing', architecture: 'arm64' },
    ]);
  });

  it.each([
    ['bash\n', 'line 1 ("bash"): no section stands above it'],
    ['[a]\nA B\n', 'line 2 ("A B"): this is not the name of a Debian package'],
    ['[a: b]\n', 'no section b stands above it'],
    ['[a]\n[a]\n', 'line 2 ("[a]"): this section is there already'],
    ['[a]\nx1 [mips]\n', 'not one of amd64, arm64'],
  ])('is refused for %j, by the line', (text, problem) => {
    expect(() => parsePackages(text)).toThrow(problem);
  });
});

describe('add', () => {
  it('puts a package under its heading, and makes the heading when there is none', () => {
    expect(withPackage(list, 'wget', { toolbox: 'core', task: 'network' })).toContain(
      'network:\n  wget\n  curl\n\n[host]',
    );
    expect(withPackage(list, 'gdb', { toolbox: 'core', task: 'tracing' })).toContain(
      '  curl\ntracing:\n  gdb\n\n[host]',
    );
  });

  it('refuses what is there already, and toolboxes that are not there', () => {
    expect(() => withPackage(list, 'bash', { toolbox: 'core', task: 'x' })).toThrow('bash is in core already');
    expect(() => withPackage(list, 'gdb', { toolbox: 'host', task: 'x' })).toThrow(
      'no toolbox "host"; builder/packages has slim, core',
    );
  });
});

describe('diff', () => {
  it('says what was added and removed, and what went up or down', () => {
    const before = new Map([
      ['a', '1'],
      ['b', '1.0~rc1-1'],
      ['c', '2'],
      ['d', '1'],
    ]);
    const after = new Map([
      ['b', '1.0-1'],
      ['c', '1'],
      ['d', '1'],
      ['e', '1'],
    ]);
    expect(changes(before, after)).toEqual(['- a 1', '^ b 1.0~rc1-1 -> 1.0-1', 'v c 2 -> 1', '+ e 1']);
  });
});

describe('keeping', () => {
  const locked = (name: string, version: string, groups: string[]): LockedPackage => ({
    ...{ name, version, source: `${name} ${version}`, archive: 'debian', path: `pool/${name}_${version}_all.deb` },
    ...{ size: 1, sha256: 'a'.repeat(64), groups, depends: [] },
  });
  const lock = (epoch: number, ...packages: LockedPackage[]): Lock => ({
    ...{ suite: 'trixie', architecture: 'amd64', epoch, date: new Date(epoch * 1000).toISOString() },
    packages,
  });

  it('leaves versions and date as they were, and takes what is new as it is now', () => {
    const kept = keeping(
      lock(1, locked('a', '1', ['slim'])),
      lock(2, locked('a', '2', ['slim', 'core']), locked('b', '2', ['core'])),
    );
    expect(kept.epoch).toBe(1);
    expect(kept.packages.map(({ name, version, groups }) => [name, version, groups])).toEqual([
      ['a', '1', ['slim', 'core']],
      ['b', '2', ['core']],
    ]);
  });
});
