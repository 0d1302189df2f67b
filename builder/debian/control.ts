/** One paragraph of a Debian control file: field name to value, continuation lines joined by newlines. */
export type Paragraph = ReadonlyMap<string, string>;

/**
 * The paragraphs of a control file or Packages index (deb822). Yields one at a time: an index of a whole Debian suite
 * has 70 000 of them.
 */
export function* paragraphs(text: string): Generator<Paragraph> {
  for (const block of text.split(/\n(?:[ \t]*\n)+/)) {
    const fields = new Map<string, string>();
    let last: string | undefined;
    for (const line of block.split('\n')) {
      if (line.startsWith('#')) continue;
      if (/^[ \t]/.test(line)) {
        if (last !== undefined) fields.set(last, `${fields.get(last)}\n${line.trim()}`);
        continue;
      }
      const colon = line.indexOf(':');
      if (colon < 1) continue;
      last = line.slice(0, colon);
      fields.set(last, line.slice(colon + 1).trim());
    }
    if (fields.size > 0) yield fields;
  }
}
