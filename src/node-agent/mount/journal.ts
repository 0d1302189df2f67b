import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from '../../linux/durable-file.ts';

/** A toolbox in a container's own mount namespace, so that an agent that was restarted can take it out. */
export interface PlacementRecord {
  readonly containerId: string;
  readonly pid: number;
  /** With the pid it names one process: pids are used again. */
  readonly startTime: string;
  /** st_dev of the toolbox, hexadecimal. */
  readonly device: string;
  readonly created: boolean;
  readonly createdDev: boolean;
}

const folder = (stateDirectory: string): string => join(stateDirectory, 'placements');

const fileOf = (stateDirectory: string, containerId: string): string =>
  join(folder(stateDirectory), `${encodeURIComponent(containerId)}.json`);

/** By rename, so that a crash leaves the old record or the new one; on the disk when this returns, so that nothing is done that no record tells. */
export function writeRecord(stateDirectory: string, record: PlacementRecord): void {
  mkdirSync(folder(stateDirectory), { recursive: true, mode: 0o700 });
  replaceFile(fileOf(stateDirectory, record.containerId), JSON.stringify(record));
}

export const eraseRecord = (stateDirectory: string, containerId: string): void =>
  rmSync(fileOf(stateDirectory, containerId), { force: true });

/** All that can be read; a file that is no record is left out. */
export function readRecords(stateDirectory: string): readonly PlacementRecord[] {
  mkdirSync(folder(stateDirectory), { recursive: true, mode: 0o700 });
  return readdirSync(folder(stateDirectory))
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => {
      const record = parseRecord(readFileSync(join(folder(stateDirectory), name), 'utf8'));
      return record ? [record] : [];
    });
}

/**
 * At an agent's start: away with what an earlier one was writing when it ended, and with what a disk has damaged. No mount has only such a file: a record is
 * whole, and on the disk, before its mount is made.
 */
export function eraseUnreadable(stateDirectory: string): void {
  for (const name of readdirSync(folder(stateDirectory))) {
    const file = join(folder(stateDirectory), name);
    if (!name.endsWith('.json') || parseRecord(readFileSync(file, 'utf8')) === undefined) rmSync(file, { force: true });
  }
}

export function parseRecord(text: string): PlacementRecord | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const types: Readonly<Record<keyof PlacementRecord, string>> = {
  containerId: 'string',
  pid: 'number',
  startTime: 'string',
  device: 'string',
  created: 'boolean',
  createdDev: 'boolean',
};

const isRecord = (value: unknown): value is PlacementRecord =>
  typeof value === 'object' &&
  value !== null &&
  Object.entries(types).every(([key, type]) => typeof (value as Record<string, unknown>)[key] === type);
