import { readdirSync, readFileSync } from 'node:fs';

/** Host pids of the processes whose command line matches; those of the nodes' pods are among them. */
export function pidsOf(commandLine: RegExp): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && commandLine.test(read(`/proc/${name}/cmdline`).replaceAll('\0', ' ')))
    .map(Number);
}

/** Resident memory in bytes; 0 when it is gone. */
export const residentBytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;

/** All bytes that a process has written, to whatever; 0 when it is gone. */
export const writtenBytes = (pid: number): number => Number(/^wchar: (\d+)/m.exec(read(`/proc/${pid}/io`))?.[1] ?? 0);

/** All bytes that it has read and not written: of one that only passes on, what it holds, and what it had read before. */
export const keptBytes = (pid: number): number =>
  Number(/^rchar: (\d+)/m.exec(read(`/proc/${pid}/io`))?.[1] ?? 0) - writtenBytes(pid);

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
