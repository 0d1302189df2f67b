import { describe, expect, it } from 'vitest';
import { asLongAs, type Patch, patch } from './patch.ts';

describe('patch', () => {
  const program = '\0/etc/file\0x/etc/file\0/etc/file/more\0/etc/file\0';
  const patched = (...patches: Patch[]): string => {
    const bytes = Buffer.from(program);
    patch(bytes, patches);
    return bytes.toString();
  };

  it('replaces whole strings only, and nothing moves', () => {
    expect(patched({ from: '/etc/file', to: '/dev/null', count: 2 })).toBe(
      '\0/dev/null\0x/etc/file\0/etc/file/more\0/dev/null\0',
    );
  });

  it('replaces beginnings of strings, and anything, when told so', () => {
    expect(patched({ from: '/etc/file', to: '/dev/null', count: 3, boundary: 'start' })).toBe(
      '\0/dev/null\0x/etc/file\0/dev/null/more\0/dev/null\0',
    );
    expect(patched({ from: '/etc/file', to: '/dev/null', boundary: 'anywhere' })).not.toContain('/etc/file');
  });

  it.each([
    [{ from: '/etc/file', to: '/dev/nulls', count: 2 }, 'not as long'],
    [{ from: '/etc/file', to: '/dev/null', count: 1 }, 'is there 2 times, not 1'],
    [{ from: '/etc/none', to: '/dev/null', count: 1 }, 'is there 0 times, not 1'],
    [{ from: '/etc/none', to: '/dev/null' }, 'is not there'],
    [{ from: '/etc/\0a', to: '/dev/\0', count: 1 }, 'not as long'],
  ])('refuses %o', (change, problem) => {
    expect(() => patched(change)).toThrow(problem);
  });
});

describe('asLongAs', () => {
  it('fills up with slashes after the prefix, which open() does not see', () => {
    expect(asLongAs('/usr/lib/x86_64-linux-gnu/gconv', '/lib/gconv')).toBe('/dev/crashcart////////lib/gconv');
  });

  it('refuses what has no room', () => {
    expect(() => asLongAs('/usr/lib/ssl', '/lib/ssl')).toThrow('longer than /usr/lib/ssl');
  });
});
