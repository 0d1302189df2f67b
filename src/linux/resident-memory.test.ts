import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { brotliCompressSync, brotliDecompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { loadKernel } from './kernel.ts';
import { giveProgramBack, trimHeap, unwrittenPages } from './resident-memory.ts';

const mapping = (head: string, { anonymous = '0 kB', swap = '0 kB', more = '' } = {}): string =>
  `${head}\nSize:               1024 kB\nRss:                 512 kB\nAnonymous:      ${anonymous}\nAnonHugePages:         0 kB\nSwap:           ${swap}\n${more}VmFlags: rd mr mw me sd \n`;
const node = '/usr/bin/node';
const at = (range: string, mode: string, path = node): string =>
  `${range} ${mode} 00400000 fe:00 36                 ${path}`;

describe('unwrittenPages', () => {
  it("are the program's text and constants", () => {
    const smaps = [
      mapping(at('400000-c03000', 'r--p')),
      mapping(at('c04000-7ffff7fff000', 'r-xp')),
      mapping(at('7ffff7fff000-7ffff8000000', 'rw-p'), { anonymous: '4 kB' }),
    ].join('');
    expect(unwrittenPages(smaps, node)).toEqual([
      { start: 0x400000n, length: 0x803000n },
      { start: 0xc04000n, length: 0x7ffff7fff000n - 0xc04000n },
    ]);
  });

  it('are not those of a mapping with one written page, in memory or in swap', () => {
    const relocated = at('400000-c03000', 'r--p');
    expect(unwrittenPages(mapping(relocated, { anonymous: '4 kB' }), node)).toEqual([]);
    expect(unwrittenPages(mapping(relocated, { swap: '4 kB' }), node)).toEqual([]);
    expect(unwrittenPages(mapping(relocated, { anonymous: '10 kB' }), node)).toEqual([]);
  });

  it.each([
    ['says nothing of written pages', `${at('400000-c03000', 'r--p')}\nRss: 4 kB\n`],
    ['says it of another mapping only', `${at('400000-c03000', 'r--p')}\n${mapping(at('c03000-c04000', 'rw-p'))}`],
    ['can be written', mapping(at('400000-c03000', 'rw-p'))],
    ['is shared', mapping(at('400000-c03000', 'r--s'))],
    ['cannot be read', mapping(at('400000-c03000', '---p'))],
    ['is of another file', mapping(at('400000-c03000', 'r-xp', '/usr/bin/node2'))],
    ['is of a file whose name ends alike', mapping(at('400000-c03000', 'r-xp', `/x ${node}`))],
    ['is of a file that was deleted', mapping(at('400000-c03000', 'r-xp', `${node} (deleted)`))],
    ['has no file', mapping('400000-c03000 r-xp 00000000 00:00 0 ')],
    ['is empty', mapping(at('400000-400000', 'r-xp'))],
    ['ends before it begins', mapping(at('400000-300000', 'r-xp'))],
  ])('are none where the mapping %s', (_what, smaps) => {
    expect(unwrittenPages(smaps, node)).toEqual([]);
  });

  it('are none in what is no smaps', () => {
    for (const text of ['', 'junk', '0-', '-', 'Anonymous: 0 kB\nSwap: 0 kB\n', '400000-c03000 r-xp\n'])
      expect(unwrittenPages(text, node)).toEqual([]);
    expect(unwrittenPages(mapping(at('400000-c03000', 'r-xp', '')), '')).toEqual([]);
  });
});

describe('giveProgramBack and trimHeap', () => {
  it('leave a process that goes on as before', () => {
    const [mine, program] = [readFileSync('/proc/self/smaps', 'utf8'), readlinkSync('/proc/self/exe')];
    expect(unwrittenPages(mine, program)).not.toEqual([]);
    for (let times = 0; times < 3; times++) {
      giveProgramBack(loadKernel());
      trimHeap();
      expect(createHash('sha256').update('abc').digest('hex')).toMatch(/^ba7816bf/);
      expect(brotliDecompressSync(brotliCompressSync('abc'.repeat(1000))).toString()).toBe('abc'.repeat(1000));
      expect(/[ä-ü]+/iu.exec('xÖÜx')?.[0]).toBe('ÖÜ');
    }
  });
});
