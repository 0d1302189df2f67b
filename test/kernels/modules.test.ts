import { zstdCompressSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { inLoadOrder, moduleName } from './modules.ts';

const moduleOf = (depends?: string): Buffer =>
  Buffer.from(`\x7fELF code\0license=GPL\0${depends === undefined ? '' : `depends=${depends}\0`}name=x\0`, 'latin1');

const modules = new Map([
  ['lib/modules/1/kernel/fs/ext4/ext4.ko', moduleOf('jbd2,mbcache')],
  ['lib/modules/1/kernel/fs/jbd2/jbd2.ko.zst', zstdCompressSync(moduleOf(''))],
  ['lib/modules/1/kernel/fs/mbcache.ko', moduleOf('crc-x,in_kernel')],
  ['lib/modules/1/kernel/lib/crc-x.ko', moduleOf()],
]);
const builtIn = new Set(['in_kernel']);

it('loads modules after what they need, and nothing that the kernel has itself', async () => {
  const found = await inLoadOrder({ modules, builtIn }, ['ext4', 'in_kernel'], ['not_there']);
  expect(found.map(({ name }) => name)).toEqual(['jbd2', 'crc_x', 'mbcache', 'ext4']);
  expect(found[0]!.content.subarray(1, 4).toString()).toBe('ELF');
});

it('names a module that is missing', async () => {
  await expect(inLoadOrder({ modules, builtIn: new Set() }, ['ext4'], [])).rejects.toThrow('no module in_kernel');
});

it('names modules as the kernel does', () => {
  expect(moduleName('kernel/crypto/crc32c-intel.ko.xz\n')).toBe('crc32c_intel');
});
