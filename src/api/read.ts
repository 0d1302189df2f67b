/** Reads the fields of objects that come from outside, each with the path that an error names. */

/** `path` is where in the object it is wrong: `spec.target.pod.name`. */
export class ParseError extends Error {
  override readonly name = 'ParseError';
  readonly path: string;

  constructor(path: string, expected: string) {
    super(`${path}: expected ${expected}`);
    this.path = path;
  }
}

export type Fields = Readonly<Record<string, unknown>>;

export function fields(value: unknown, at: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw new ParseError(at, 'an object');
}

export function optionalText(from: Fields, key: string, at: string): string | undefined {
  const value = from[key];
  if (value === undefined || typeof value === 'string') return value;
  throw new ParseError(`${at}.${key}`, 'a string');
}

export function text(from: Fields, key: string, at: string): string {
  return required(optionalText(from, key, at) || undefined, `${at}.${key}`);
}

export function number(from: Fields, key: string, at: string): number | undefined {
  const value = from[key];
  if (value === undefined || (typeof value === 'number' && Number.isSafeInteger(value))) return value;
  throw new ParseError(`${at}.${key}`, 'an integer');
}

export function boolean(from: Fields, key: string, at: string): boolean | undefined {
  const value = from[key];
  if (value === undefined || typeof value === 'boolean') return value;
  throw new ParseError(`${at}.${key}`, 'true or false');
}

export function oneOf<T extends string>(values: readonly T[], from: Fields, key: string, at: string): T | undefined {
  const value = from[key];
  if (value === undefined) return undefined;
  const found = values.find((each) => each === value);
  if (found !== undefined) return found;
  throw new ParseError(`${at}.${key}`, `one of ${values.join(', ')}`);
}

export function list(from: Fields, key: string, at: string): readonly unknown[] | undefined {
  const value = from[key];
  if (value === undefined) return undefined;
  // A copy without holes, which `map` leaves out: each item is looked at.
  if (Array.isArray(value)) return Array.from(value);
  throw new ParseError(`${at}.${key}`, 'a list');
}

export function textList(from: Fields, key: string, at: string): readonly string[] | undefined {
  return list(from, key, at)?.map((each, index) => {
    if (typeof each === 'string') return each;
    throw new ParseError(`${at}.${key}[${index}]`, 'a string');
  });
}

export function textMap(from: Fields, key: string, at: string): Readonly<Record<string, string>> | undefined {
  if (from[key] === undefined) return undefined;
  const map = fields(from[key], `${at}.${key}`);
  for (const name of Object.keys(map)) text({ [name]: map[name] || ' ' }, name, `${at}.${key}`);
  return map as Readonly<Record<string, string>>;
}

export function required<T>(value: T | undefined, path: string): T {
  if (value !== undefined) return value;
  throw new ParseError(path, 'a value');
}

/** `{key: value}`, or nothing at all where there is no value. */
export function some<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: V });
}
