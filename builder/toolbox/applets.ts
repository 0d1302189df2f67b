/**
 * The names of a busybox's applets, out of the table in the program: a sorted list of C strings that begins with `[`. Reading it
 * needs no program of that architecture to run. Throws an Error when there is no such table.
 */
export function appletsOf(busybox: Buffer): string[] {
  const start = busybox.indexOf('[\0[[\0', 0, 'latin1');
  const end = busybox.indexOf('\0\0', start, 'latin1');
  if (start < 0 || end < 0) throw new Error('it has no table of applets');
  const names = busybox.toString('latin1', start, end).split('\0');
  const isTable = names.every(
    (name, at) => /^[a-z0-9[_.+-]+$/.test(name) && (at === 0 || name > (names[at - 1] ?? '')),
  );
  if (!isTable) throw new Error('its table of applets cannot be read');
  return names;
}
