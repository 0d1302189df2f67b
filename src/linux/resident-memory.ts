import { readFileSync, readlinkSync } from 'node:fs';
import koffi from 'koffi';
import { invoke, type Kernel } from './kernel.ts';

export interface Pages {
  readonly start: bigint;
  /** In bytes. */
  readonly length: bigint;
}

/**
 * Of a process's smaps: where `program`'s file is mapped and no page was ever written, so that whatever is dropped can be read again. A page that was
 * written (relocated data that was closed for writing afterwards) exists once, in memory or in swap: one such page, or no word about them, and the
 * whole mapping is left alone.
 */
export function unwrittenPages(smaps: string, program: string): readonly Pages[] {
  return smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).flatMap((text) => {
    const found = /^([0-9a-f]+)-([0-9a-f]+) r-[-x]p [0-9a-f]+ \S+ \d+ +(.+)$/m.exec(text);
    const none = (name: string): boolean => new RegExp(`^${name}: +0 kB$`, 'm').test(text);
    if (found?.[3] !== program || !none('Anonymous') || !none('Swap')) return [];
    const [start, end] = [BigInt(`0x${found[1]}`), BigInt(`0x${found[2]}`)];
    return end > start ? [{ start, length: end - start }] : [];
  });
}

const doNotNeed = 4;

/**
 * Gives the pages of the running program's file back, which mostly its start has touched. They stay in the page cache as long as the kernel has room,
 * and what is still in use comes back from there, 16 pages a fault. Only the program's own file: a library may be unloaded, and its place be another's.
 */
export function giveProgramBack(kernel: Kernel): void {
  for (const { start, length } of unwrittenPages(
    readFileSync('/proc/self/smaps', 'utf8'),
    readlinkSync('/proc/self/exe'),
  ))
    invoke(kernel, 'madvise', `${start.toString(16)}, ${length}, MADV_DONTNEED`, start, length, doNotNeed);
}

/** What malloc has free goes back to the kernel; nothing where the C library has no such call (musl). */
export function trimHeap(): void {
  const library = koffi.load(null);
  try {
    library.func('malloc_trim', 'int', ['size_t'])(0);
  } catch {
    // a C library that gives back by itself
  }
}
