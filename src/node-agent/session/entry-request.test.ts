import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { descriptorNames, type EntryRequest, encodeRequest } from './entry-request.ts';

const project = join(import.meta.dirname, '../../..');
const native = join(project, 'native');
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'crashcart-request-'));
  const reader = join(project, 'test/support/supervisor/request.c');
  execFileSync('cc', ['-O1', '-o', join(directory, 'reader'), reader, join(native, 'agent.c')]);
});
afterAll(() => rmSync(directory, { recursive: true }));

/** What the program makes of a request, field by field. */
function readBack(bytes: Uint8Array): { readonly fields: readonly string[]; readonly status: string } {
  const file = join(directory, 'request');
  writeFileSync(file, bytes);
  const fd = openSync(file, 'r');
  const { output } = spawnSync(join(directory, 'reader'), { stdio: ['ignore', 'pipe', 'inherit', 'pipe', fd] });
  closeSync(fd);
  const [, said, , status] = output.map(String);
  return { fields: said!.split('\n').slice(0, -1), status: status! };
}

const nothing: EntryRequest = { descriptors: {}, values: {} };

describe('encodeRequest', () => {
  it('lays every field out where the program looks for it', () => {
    const descriptors = Object.fromEntries(descriptorNames.map((name, at) => [name, 10 + at]));
    const values = {
      namespaces: 0x2e020000,
      device: 'fe01',
      bounding: 2n ** 63n + 1n,
      permitted: 2n,
      ambient: 3n,
      rlimits: [
        { resource: 7, soft: 77n, hard: 88n },
        { resource: 4, soft: 0n, hard: 2n ** 64n - 1n },
      ],
      userns: true,
      nonewprivs: true,
      createddev: true,
      uid: 4_294_967_294,
      gid: 1000,
      groups: [2000, 2001],
      cwd: '/srv/é',
      label: 'changeprofile cri',
      labelfile: 'thread-self/attr/apparmor/current',
    };
    const bytes = encodeRequest({ descriptors, homes: [30], joins: [31, 32], filters: [33, 34], values });
    expect(readBack(bytes).fields).toEqual([
      'namespaces 771883008',
      'device 65025',
      'bounding 9223372036854775809',
      'permitted 2',
      'ambient 3',
      'rlimits 7:77:88',
      'rlimits 4:0:18446744073709551615',
      ...descriptorNames.map((name, at) => `${name} ${10 + at}`),
      'homes 30',
      'joins 31',
      'joins 32',
      'filters 33',
      'filters 34',
      'userns 1',
      'tty 0',
      'nonewprivs 1',
      'created 0',
      'createddev 1',
      'uid 4294967294',
      'gid 1000',
      'groups 2000',
      'groups 2001',
      'cwd /srv/é',
      'label changeprofile cri',
      'labelfile thread-self/attr/apparmor/current',
    ]);
  });

  it('gives no descriptor and nothing else where nothing is said', () => {
    const { fields } = readBack(encodeRequest(nothing));
    const silent = ['namespaces', 'device', 'bounding', 'permitted', 'ambient'];
    const numbers = ['userns', 'tty', 'nonewprivs', 'created', 'createddev', 'uid', 'gid'];
    expect(fields).toEqual([
      ...silent.map((name) => `${name} 0`),
      ...descriptorNames.map((name) => `${name} -1`),
      ...numbers.map((name) => `${name} 0`),
      'cwd /',
      'label ',
      'labelfile ',
    ]);
  });

  it.each([
    ['more groups', { groups: Array.from({ length: 257 }, (_, at) => at) }, '257 groups'],
    ['a longer working directory', { cwd: `/${'é'.repeat(2048)}` }, 'working directory of 4097 bytes'],
    ['a label that ends early', { label: 'a\0b' }, 'label with a NUL'],
  ])('refuses %s than there is room for, in words', (_what, values, why) => {
    expect(() => encodeRequest({ ...nothing, values })).toThrow(why);
  });
});

describe('the program', () => {
  const whole = encodeRequest(nothing);
  it.each([
    ['one that is cut off', whole.subarray(0, -1), /^error arguments \d+ reading the request\n$/],
    ['counts beyond the lists', Buffer.alloc(whole.length, 0xff), /^error arguments 7 \d+ groups/],
  ])('refuses %s', (_what, bytes, said) => {
    expect(readBack(bytes).status).toMatch(said);
  });

  it('gives every text an end', () => {
    const bytes = Buffer.from(whole).fill('x', whole.length - 60);
    expect(readBack(bytes).fields.at(-1)).toBe(`labelfile ${'x'.repeat(59)}`);
  });
});

describe('crashcart-enter', () => {
  /** Neither blank nor comment: what its makefile compiles into it, headers too. */
  it('stays within a thousand lines of code', () => {
    const [, list = ''] = /^ENTER := (.*)$/m.exec(readFileSync(join(native, 'Makefile'), 'utf8')) ?? [];
    const files = [...list.split(' '), ...readdirSync(native).filter((name) => name.endsWith('.h'))];
    expect(files.length).toBeGreaterThan(5);
    const code = (name: string): number =>
      readFileSync(join(native, name), 'utf8')
        .replace(/\/\*.*?\*\//gs, '')
        .split('\n')
        .filter((line) => line.trim() !== '').length;
    expect(files.reduce((sum, name) => sum + code(name), 0)).toBeLessThanOrEqual(1000);
  });
});
