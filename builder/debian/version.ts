/** Order of characters in a Debian version: `~` before the end, then letters, then everything else. */
function weight(character: string | undefined): number {
  if (character === undefined || /\d/.test(character)) return 0;
  if (character === '~') return -1;
  return /[A-Za-z]/.test(character) ? character.charCodeAt(0) : character.charCodeAt(0) + 256;
}

/** Compares upstream versions or revisions: parts without digits by weight, parts of digits as numbers, in turn. */
function comparePart(a: string, b: string): number {
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    while ((i < a.length && !/\d/.test(a[i] ?? '')) || (j < b.length && !/\d/.test(b[j] ?? ''))) {
      const difference = weight(a[i]) - weight(b[j]);
      if (difference !== 0) return difference;
      i++;
      j++;
    }
    const [one, other] = [digits(a, i), digits(b, j)];
    i += one.length;
    j += other.length;
    const difference = BigInt(one || '0') - BigInt(other || '0');
    if (difference !== 0n) return difference < 0n ? -1 : 1;
  }
  return 0;
}

const digits = (text: string, at: number): string => /^\d*/.exec(text.slice(at))?.[0] ?? '';

function split(version: string): [epoch: number, upstream: string, revision: string] {
  const colon = version.indexOf(':');
  const rest = version.slice(colon + 1);
  const dash = rest.lastIndexOf('-');
  return [
    colon < 0 ? 0 : Number(version.slice(0, colon)),
    dash < 0 ? rest : rest.slice(0, dash),
    dash < 0 ? '' : rest.slice(dash + 1),
  ];
}

/** dpkg's order of versions: negative when `a` is older than `b`, 0 when they are the same. */
export function compareVersions(a: string, b: string): number {
  const [one, other] = [split(a), split(b)];
  return one[0] - other[0] || comparePart(one[1], other[1]) || comparePart(one[2], other[2]);
}

export type Relation = '<<' | '<=' | '=' | '>=' | '>>';

/** Whether a version is in the relation that a dependency asks for. */
export function satisfies(version: string, relation: Relation, wanted: string): boolean {
  const order = compareVersions(version, wanted);
  switch (relation) {
    case '<<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '=':
      return order === 0;
    case '>=':
      return order >= 0;
    case '>>':
      return order > 0;
  }
}
