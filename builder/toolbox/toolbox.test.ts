import { describe, expect, it } from 'vitest';
import { appletsOf } from './applets.ts';
import { patched } from './patch.ts';

describe('patched', () => {
  const program = Buffer.from('\0/etc/file\0x/etc/file\0/etc/file/more\0/etc/file\0');

  it('replaces whole strings only, and nothing moves', () => {
    const result = patched(program, [{ from: '/etc/file', to: '/dev/null', count: 2 }]);
    expect(result.toString()).toBe('\0/dev/null\0x/etc/file\0/etc/file/more\0/dev/null\0');
  });

  it.each([
    [{ from: '/etc/file', to: '/dev/nulls', count: 2 }, 'not as long'],
    [{ from: '/etc/file', to: '/dev/null', count: 1 }, 'is there 2 times, not 1'],
    [{ from: '/etc/none', to: '/dev/null', count: 1 }, 'is there 0 times, not 1'],
  ])('refuses %o', (patch, problem) => {
    expect(() => patched(program, [patch])).toThrow(problem);
  });

  it('leaves the given program as it was', () => {
    const before = program.toString();
    patched(program, [{ from: '/etc/file', to: '/dev/null', count: 2 }]);
    expect(program.toString()).toBe(before);
  });
});

describe('appletsOf', () => {
  it('sorts commands by where busybox would put them, and leaves out what would stop a node', () => {
    expect(appletsOf('bin/ls\nusr/sbin/chroot\nsbin/reboot\nusr/bin/[\nlinuxrc\nbin/busybox\n')).toEqual([
      { name: 'ls', directory: 'bin' },
      { name: 'chroot', directory: 'sbin' },
      { name: '[', directory: 'bin' },
    ]);
  });
});
