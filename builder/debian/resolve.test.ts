import { describe, expect, it } from 'vitest';
import { dateOfRelease } from './apt-index.ts';
import { paragraphs } from './control.ts';
import { demandsOf, readIndex } from './package-index.ts';
import { resolve } from './resolve.ts';

const entry = (name: string, fields: Record<string, string> = {}): string =>
  Object.entries({
    Package: name,
    Version: '1',
    Filename: `pool/main/x/${name}_1_all.deb`,
    Size: '20',
    SHA256: 'b'.repeat(64),
    ...fields,
  })
    .map(([key, value]) => `${key}: ${value}\n`)
    .join('');

const indexOf = (...entries: string[]) => readIndex([{ archive: 'debian', text: entries.join('\n') }]);
const names = (index: ReturnType<typeof indexOf>, ...wanted: string[]): string[] =>
  resolve(index, wanted, 'the list').map(({ name }) => name);

describe('resolve', () => {
  it('follows dependencies, takes the first alternative that there is, and one that is there already before it', () => {
    const index = indexOf(
      entry('a', { Depends: 'b (>= 1) | c, gone | d:any' }),
      entry('b', { 'Pre-Depends': 'e' }),
      entry('c'),
      entry('d'),
      entry('e'),
    );
    expect(names(index, 'a')).toEqual(['a', 'b', 'd', 'e']);
    expect(names(index, 'c', 'a')).toEqual(['a', 'c', 'd']);
    expect(resolve(index, ['a'], 'the list')[0]?.chosen).toEqual(['b', 'd']);
  });

  it('lets the most important provider stand for a virtual package, and versions decide', () => {
    const index = indexOf(
      entry('a', { Depends: 'awk, b (>> 1)' }),
      entry('gawk', { Provides: 'awk' }),
      entry('mawk', { Provides: 'awk', Priority: 'required' }),
      entry('b'),
      entry('c', { Provides: 'b (= 2)' }),
    );
    expect(names(index, 'a')).toEqual(['a', 'c', 'mawk']);
  });

  it('takes the newest version of several archives, and remembers whose it is', () => {
    const index = readIndex([
      { archive: 'debian', text: entry('a', { Version: '1.2-3' }) },
      { archive: 'debian-security', text: entry('a', { Version: '1.2-3+deb13u1', Source: 'src (1.2-3)' }) },
    ]);
    expect(resolve(index, ['a'], 'the list')).toMatchObject([
      { version: '1.2-3+deb13u1', archive: 'debian-security', source: 'src 1.2-3' },
    ]);
  });

  it('names every package that Debian does not have', () => {
    expect(() => names(indexOf(entry('a')), 'nothing', 'a', 'neither')).toThrow(
      'no package nothing, neither; correct the name in the list',
    );
  });

  it('names what a package depends on and cannot have', () => {
    expect(() => names(indexOf(entry('a', { Depends: 'b (>= 2) | c' }), entry('b')), 'a')).toThrow(
      'a depends on b (>= 2) or c',
    );
  });

  it('names two packages that exclude each other, but not one that excludes what it provides itself', () => {
    const index = indexOf(
      entry('a', { Conflicts: 'b (<< 2)' }),
      entry('b'),
      entry('c', { Provides: 'x', Conflicts: 'x' }),
    );
    expect(() => names(index, 'a', 'b')).toThrow('a and b exclude each other');
    expect(names(index, 'c')).toEqual(['c']);
  });

  it('refuses an index without the digest of a package, and dependencies that cannot be read', () => {
    expect(() => names(indexOf('Package: a\nVersion: 1\n'), 'a')).toThrow('no Filename of a');
    expect(() => demandsOf('a (~ 1)')).toThrow('cannot be read');
  });
});

describe('paragraphs', () => {
  it('joins continuation lines and leaves comments out', () => {
    expect([...paragraphs('A: 1\n# no\n 2\n\n \n\nB:3\n')].map((fields) => [...fields])).toEqual([
      [['A', '1\n2']],
      [['B', '3']],
    ]);
  });
});

describe('dateOfRelease', () => {
  it('reads the date of a release file inside its signature', () => {
    const text =
      '-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nDate: Sat, 21 Nov 2026 09:15:44 UTC\n';
    expect(dateOfRelease(text)).toBe(Date.UTC(2026, 10, 21, 9, 15, 44) / 1000);
  });

  it('refuses a release file that has none', () => {
    expect(() => dateOfRelease('Origin: Debian\n')).toThrow('no date');
  });
});
