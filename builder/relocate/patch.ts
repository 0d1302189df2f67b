/** A string in a program, and what stands in its place; both have the same length, so nothing else moves. */
export interface Patch {
  from: string;
  to: string;
  /** How often the string must be there. Another number means another build of the program: look again. Undefined: at least once. */
  count?: number;
  /**
   * What must stand around it. `whole`: a C string of its own. `start`: where a C string begins. `anywhere`: nothing. Linkers share the
   * tails of strings, so what a byte before belongs to decides what a change breaks. `whole` unless given.
   */
  boundary?: 'whole' | 'start' | 'anywhere';
}

/**
 * Replaces strings of a program in place. Throws an Error when a patch does not fit or does not match exactly `count` times; it names
 * the string and what was found.
 */
export function patch(bytes: Buffer, patches: readonly Patch[]): void {
  for (const { from, to, count, boundary = 'whole' } of patches) {
    const replacement = Buffer.from(to, 'latin1');
    if (replacement.length !== Buffer.byteLength(from, 'latin1'))
      throw new Error(`"${to}" is not as long as "${from}"`);
    const before = boundary === 'anywhere' ? '' : '\0';
    const needle = Buffer.from(`${before}${from}${boundary === 'whole' ? '\0' : ''}`, 'latin1');
    let seen = 0;
    for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1)) {
      replacement.copy(bytes, at + before.length);
      seen++;
    }
    const shown = from.replaceAll('\0', '\\0');
    if (count === undefined && seen === 0) throw new Error(`"${shown}" is not there`);
    if (count !== undefined && seen !== count) throw new Error(`"${shown}" is there ${seen} times, not ${count}`);
  }
}

export const prefix = '/dev/crashcart';

/**
 * A path below the toolbox that is as long as the one that it replaces: slashes after the prefix fill it up. Lengths that compilers put
 * into tables and code stay right.
 */
export function asLongAs(original: string, path: string): string {
  const room = Buffer.byteLength(original, 'latin1') - prefix.length - path.length;
  if (room < 0) throw new Error(`${prefix}${path} is longer than ${original}`);
  return `${prefix}${'/'.repeat(room)}${path}`;
}
