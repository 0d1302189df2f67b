import { describe, expect, it } from 'vitest';
import type { PackedFile } from '../debian/unpacked.ts';
import { appletsOf } from './applets.ts';
import { assertClosed } from './closure.ts';
import { select } from './selection.ts';

describe('appletsOf', () => {
  it('reads the table of names in the program', () => {
    expect(appletsOf(Buffer.from('code [\0[[\0acpid\0ash\0zcat\0\0more'))).toEqual(['[', '[[', 'acpid', 'ash', 'zcat']);
  });

  it('refuses a program without one, or with one that it does not understand', () => {
    expect(() => appletsOf(Buffer.from('no table'))).toThrow('no table');
    expect(() => appletsOf(Buffer.from('[\0[[\0zcat\0ash\0\0'))).toThrow('cannot be read');
  });
});

describe('assertClosed', () => {
  const elf = { machine: 62, needed: ['libc.so.6'], interpreter: { value: '/dev/crashcart/ld.so', offset: 0 } };
  const tree = [
    { path: 'ld.so', target: 'lib/ld-linux.so.2' },
    { path: 'lib/ld-linux.so.2', elf: { machine: 62, needed: [] } },
    { path: 'lib/libc.so.6', elf: { machine: 62, needed: [] } },
    { path: 'bin/program', elf },
    { path: 'bin/script', interpreter: '/dev/crashcart/bin/program -x' },
    { path: 'profile/bin', target: '../bin' },
    { path: 'share/again', target: '../profile/bin/script' },
  ];

  it('is content with a tree that has all that it names', () => {
    expect(() => assertClosed(tree, 62)).not.toThrow();
  });

  it.each([
    [{ path: 'bin/link', target: 'nothing' }, 'bin/link is a link to nothing'],
    [{ path: 'bin/link', target: '/usr/bin/x' }, 'bin/link is a link to /usr/bin/x'],
    [{ path: 'bin/link', target: 'link' }, 'bin/link is a link to link'],
    [{ path: 'bin/other', interpreter: '/bin/sh' }, 'bin/other is run by /bin/sh'],
    [{ path: 'bin/other', interpreter: '/dev/crashcart/bin/perl' }, 'is run by /dev/crashcart/bin/perl'],
    [{ path: 'bin/other', elf: { ...elf, needed: ['libx.so.1'] } }, 'bin/other needs libx.so.1'],
    [{ path: 'bin/other', elf: { ...elf, machine: 183 } }, 'is for the machine 183, not 62'],
  ])('names what is missing for %o', (node, problem) => {
    expect(() => assertClosed([...tree, node], 62)).toThrow(problem);
  });
});

describe('select', () => {
  const file = (path: string, needed?: string[]): [string, PackedFile] => [
    path,
    {
      ...{ path, type: 'file', mode: 0o755, size: 1, sha256: path, read: async () => Buffer.alloc(1) },
      ...(needed && { elf: { machine: 62, needed } }),
    },
  ];
  const triplet = 'x86_64-linux-gnu';
  const at = `usr/lib/${triplet}`;

  it('takes a library once that stands where the recipe puts it, and what it needs itself', () => {
    const packages = new Map([
      ['libc6', new Map([file(`${at}/gconv/EUC-JP.so`, ['libJIS.so']), file(`${at}/gconv/libJIS.so`, ['libc.so.6'])])],
      ['libc', new Map([file(`${at}/libc.so.6`, []), file(`${at}/libnone.so`, [])])],
      ['nano', new Map([file('usr/bin/nano', ['libc.so.6'])])],
    ]);
    const { files, links } = select(packages, new Set(['nano']), triplet);
    const places = ['bin/nano', 'lib/gconv/EUC-JP.so', 'lib/gconv/libJIS.so', 'lib/libc.so.6'];
    expect([...files.keys()].sort()).toEqual(places);
    expect([...links].filter(([place]) => place.startsWith('lib/'))).toEqual([['lib/libJIS.so', 'gconv/libJIS.so']]);
  });

  it('refuses a program whose library no package has', () => {
    const packages = new Map([['nano', new Map([file('usr/bin/nano', ['libnone.so.1'])])]]);
    expect(() => select(packages, new Set(['nano']), triplet)).toThrow(
      'No package of the toolbox has libnone.so.1 (for bin/nano)',
    );
  });
});
