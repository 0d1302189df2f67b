/** A string in a program, and what stands in its place; both have the same length, so nothing else moves. */
export interface Patch {
  from: string;
  to: string;
  /** How often the string must be there. Another number means another build of the program: look again. */
  count: number;
}

/**
 * The program with C strings replaced in place. A match counts only where a string begins (after a NUL byte) and is
 * taken as a prefix when `from` ends with a slash, as a whole otherwise: linkers share the tails of strings. Throws an
 * Error when a patch does not fit or does not match exactly `count` times.
 */
export function patched(program: Uint8Array, patches: readonly Patch[]): Buffer {
  const bytes = Buffer.from(program);
  for (const { from, to, count } of patches) {
    if (Buffer.byteLength(from) !== Buffer.byteLength(to)) throw new Error(`"${to}" is not as long as "${from}"`);
    const needle = Buffer.from(`\0${from}${from.endsWith('/') ? '' : '\0'}`);
    let seen = 0;
    for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1)) {
      bytes.write(to, at + 1);
      seen++;
    }
    if (seen !== count) throw new Error(`"${from}" is there ${seen} times, not ${count}`);
  }
  return bytes;
}
