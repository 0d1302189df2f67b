import { describe, expect, it } from 'vitest';
import { architectures, packagesOf, parseLock, readLock } from './lock.ts';

const entry = {
  name: 'libstdc++6',
  version: '14.2.0-19',
  source: 'gcc-14 14.2.0-19',
  path: 'pool/main/g/gcc-14/libstdc++6_14.2.0-19_amd64.deb',
  size: 1,
  sha256: 'a'.repeat(64),
  groups: ['runtime'],
};
const lock = { suite: 'trixie', architecture: 'amd64', epoch: 1, packages: [entry] };
const parseWith = (changed: object) => parseLock(JSON.stringify({ ...lock, packages: [{ ...entry, ...changed }] }));

describe('a lock', () => {
  it('is read as it was written', () => {
    expect(parseLock(JSON.stringify(lock))).toEqual(lock);
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
  ])('is refused, naming %s, when that is %o', (field, changed) => {
    expect(() => parseWith(changed)).toThrow(field);
  });

  it('says what to do when it is older than a group that the builder wants', () => {
    expect(() => packagesOf(parseWith({}), 'toolbox')).toThrow('builder/main.ts lock');
  });

  it.each(architectures)('stands in the repository for %s, with every group', (architecture) => {
    const committed = readLock(architecture);
    expect(committed.architecture).toBe(architecture);
    for (const group of ['runtime', 'toolbox', 'host']) expect(packagesOf(committed, group)).not.toHaveLength(0);
    for (const { path } of committed.packages) expect(path).toMatch(new RegExp(`_(all|${architecture})\\.deb$`));
  });
});
