import { describe, expect, it } from 'vitest';
import { architectures, lockText, packagesOf, parseLock, readLock } from './lock.ts';
import { readPackages } from './packages-file.ts';

const entry = {
  name: 'libstdc++6',
  version: '14.2.0-19',
  source: 'gcc-14 14.2.0-19',
  archive: 'debian',
  path: 'pool/main/g/gcc-14/libstdc++6_14.2.0-19_amd64.deb',
  size: 1,
  sha256: 'a'.repeat(64),
  groups: ['runtime'],
  depends: ['libc6'],
};
const lock = { suite: 'trixie', architecture: 'amd64', epoch: 1, date: '1970-01-01T00:00:01Z', packages: [entry] };
const parseWith = (changed: object) => parseLock(JSON.stringify({ ...lock, packages: [{ ...entry, ...changed }] }));

describe('a lock', () => {
  it('is read as it was written', () => {
    expect(parseLock(JSON.stringify(lock))).toEqual(lock);
    expect(parseLock(lockText(parseLock(JSON.stringify(lock))))).toEqual(lock);
  });

  it.each([
    ['packages[0].path', { path: 'https://elsewhere/x.deb' }],
    ['packages[0].path', { path: 'pool/../../x.deb' }],
    ['packages[0].path', { path: 'pool/x.deb?other' }],
    ['packages[0].sha256', { sha256: 'A'.repeat(64) }],
    ['packages[0].size', { size: 1e12 }],
    ['packages[0].size', { size: '1' }],
    ['packages[0].groups', { groups: 'runtime' }],
    ['packages[0].name', { name: '../x' }],
    ['packages[0].archive', { archive: 'https://elsewhere' }],
    ['packages[0].depends', { depends: ['../x'] }],
  ])('is refused, naming %s, when that is %o', (field, changed) => {
    expect(() => parseWith(changed)).toThrow(field);
  });

  it('says what to do when it is older than a group that the builder wants', () => {
    expect(() => packagesOf(parseWith({}), 'toolbox')).toThrow('builder/crashcart-build lock');
  });

  it.each(architectures)('stands in the repository for %s, with every group', (architecture) => {
    const committed = readLock(architecture);
    expect(committed.architecture).toBe(architecture);
    for (const { name } of readPackages()) expect(packagesOf(committed, name)).not.toHaveLength(0);
    for (const { path } of committed.packages) expect(path).toMatch(new RegExp(`_(all|${architecture})\\.deb$`));
  });
});
