import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deviceText, usersOf } from './node-mounts.ts';
import { identityOf, isAlive, openSessionRecords, type SessionRecord } from './records.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crashcart-records-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const record: SessionRecord = {
  uid: '1-../a',
  owner: { pid: 1, startTime: '2' },
  container: { runtime: 'docker', id: 'x', label: 'web' },
  mountNamespace: 'mnt:[1]',
  image: { name: 'default', key: 'k' },
  private: false,
  since: '2026-01-01T00:00:00Z',
};

it('gives back what was written, once, and nothing after it was erased', () => {
  const records = openSessionRecords(directory);
  records.write(record.uid, record);
  records.write(record.uid, { ...record, private: true });
  expect(records.all()).toEqual([{ ...record, private: true }]);
  expect(records.read(record.uid)).toEqual({ ...record, private: true });
  expect(readdirSync(directory)).toEqual(['sessions']);
  records.erase(record.uid);
  records.erase(record.uid);
  expect(records.all()).toEqual([]);
});

it('leaves out files that are no records', () => {
  const records = openSessionRecords(directory);
  writeFileSync(join(directory, 'sessions/torn.json'), '{"uid":');
  writeFileSync(join(directory, 'sessions/other.json'), '{"uid":1}');
  expect(records.all()).toEqual([]);
  expect(records.read('torn')).toBeUndefined();
});

it('knows a process again only if it is the same one', () => {
  const own = identityOf(process.pid);
  expect(isAlive(own)).toBe(true);
  expect(isAlive({ ...own, startTime: '1' })).toBe(false);
  expect(isAlive({ pid: 2 ** 22 + 1, startTime: '1' })).toBe(false);
});

describe('deviceText', () => {
  // makedev(3): minor bits above eight lie behind the major number.
  it.each([
    ['2f', '0:47'],
    ['fe01', '254:1'],
    ['100700', '7:256'],
  ])('%s is %s', (device, text) => expect(deviceText(device)).toBe(text));
});

it('finds the processes that run programs of a device by their maps', () => {
  expect(usersOf('4095:1', [process.pid, 2 ** 22 + 1])).toEqual([]);
});
