import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { eraseRecord, eraseUnreadable, type PlacementRecord, readRecords, writeRecord } from './journal.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crashcart-journal-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const record: PlacementRecord = {
  containerId: '../a',
  pid: 1,
  startTime: '2',
  device: 'ff',
  created: true,
  createdDev: false,
};

it('gives back what was written, once, and nothing after it was erased', () => {
  writeRecord(directory, record);
  writeRecord(directory, { ...record, pid: 3 });
  expect(readRecords(directory)).toEqual([{ ...record, pid: 3 }]);
  expect(readdirSync(directory)).toEqual(['placements']);
  eraseRecord(directory, record.containerId);
  eraseRecord(directory, record.containerId);
  expect(readRecords(directory)).toEqual([]);
});

it('leaves out files that are no records', () => {
  writeRecord(directory, record);
  writeFileSync(join(directory, 'placements', 'torn.json'), '{"pid":');
  writeFileSync(join(directory, 'placements', 'other.json'), '{"pid":"1"}');
  expect(readRecords(directory)).toEqual([record]);
});

it('keeps nothing but records when an agent starts', () => {
  writeRecord(directory, record);
  writeFileSync(join(directory, 'placements', 'torn.json'), '{"pid":');
  writeFileSync(join(directory, 'placements', 'other.json.new'), JSON.stringify(record));
  eraseUnreadable(directory);
  expect(readRecords(directory)).toEqual([record]);
  expect(readdirSync(join(directory, 'placements'))).toHaveLength(1);
});
