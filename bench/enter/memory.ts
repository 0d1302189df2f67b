/** What a process has in memory, and how much of it would not be there without the process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

export interface Memory {
  /** All that is mapped and there; most of it is the text of Node, which the page cache holds once for every Node on the machine. */
  readonly resident: number;
  /** What no file backs: heap, stacks, and written pages of data. */
  readonly own: number;
}

export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return { resident: bytes('Rss'), own: bytes('Anonymous') };
}

/** Of the same Node with a program that does nothing. */
export async function memoryOfEmptyNode(): Promise<Memory> {
  const node: ChildProcess = spawn(process.execPath, ['-e', 'console.log(1); setTimeout(() => {}, 60_000)']);
  try {
    await once(node.stdout!, 'data');
    return memoryOf(node.pid!);
  } finally {
    node.kill('SIGKILL');
  }
}
