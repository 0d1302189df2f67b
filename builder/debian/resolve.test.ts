import { describe, expect, it } from 'vitest';
import { dateOfRelease } from './apt-index.ts';
import { paragraphs } from './control.ts';
import { resolve } from './resolve.ts';

const index = `Package: bash-static
Source: bash (5.2.37-2)
Version: 5.2.37-2+b10
Filename: pool/main/b/bash/bash-static_5.2.37-2+b10_amd64.deb
Tag: admin::recovery, implemented-in::c,
 scope::utility
Size: 1114112
SHA256: ${'a'.repeat(64)}

Package: other
Version: 1

Package: adduser
Version: 3.152
Filename: pool/main/a/adduser/adduser_3.152_all.deb
Size: 20
SHA256: ${'b'.repeat(64)}
`;

describe('resolve', () => {
  it('takes the named packages from an index, sorted, with their groups and their source', () => {
    expect(resolve(index, { one: ['bash-static'], two: ['bash-static', 'adduser'] })).toEqual([
      {
        name: 'adduser',
        version: '3.152',
        source: 'adduser 3.152',
        path: 'pool/main/a/adduser/adduser_3.152_all.deb',
        size: 20,
        sha256: 'b'.repeat(64),
        groups: ['two'],
      },
      {
        name: 'bash-static',
        version: '5.2.37-2+b10',
        source: 'bash 5.2.37-2',
        path: 'pool/main/b/bash/bash-static_5.2.37-2+b10_amd64.deb',
        size: 1114112,
        sha256: 'a'.repeat(64),
        groups: ['one', 'two'],
      },
    ]);
  });

  it('names every package that the suite does not have', () => {
    expect(() => resolve(index, { one: ['nothing', 'adduser', 'neither'] })).toThrow('no nothing, neither;');
  });

  it('refuses an index without the digest of a package', () => {
    expect(() => resolve(index, { one: ['other'] })).toThrow('no Filename of other');
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
