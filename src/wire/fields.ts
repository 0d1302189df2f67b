import { CrashcartError, reasons } from '../base/errors.ts';

/**
 * Reads the fields of an object that came from the other end of the tunnel. Every reader throws CrashcartError Invalid
 * with the field's name; every text, list and number is bounded, because either end may be in the wrong hands.
 */
export class Fields {
  readonly #record: Readonly<Record<string, unknown>>;
  readonly #what: string;

  constructor(value: unknown, what: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(what, 'an object');
    this.#record = value as Readonly<Record<string, unknown>>;
    this.#what = what;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#record, name) && this.#record[name] !== undefined;
  }

  value(name: string): unknown {
    return this.#record[name];
  }

  text(name: string, maxLength = 253): string {
    const value = this.#record[name];
    if (typeof value !== 'string' || value.length > maxLength) {
      throw invalid(this.#path(name), `a text of at most ${maxLength} characters`);
    }
    return value;
  }

  flag(name: string): boolean {
    const value = this.#record[name];
    if (typeof value !== 'boolean') throw invalid(this.#path(name), 'true or false');
    return value;
  }

  integer(name: string, least: number, most: number): number {
    const value = this.#record[name];
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
      throw invalid(this.#path(name), `a whole number from ${least} to ${most}`);
    }
    return value;
  }

  oneOf<const T extends string>(name: string, choices: readonly T[]): T {
    const found = choices.find((choice) => choice === this.#record[name]);
    if (found === undefined) throw invalid(this.#path(name), `one of ${choices.join(', ')}`);
    return found;
  }

  object(name: string): Fields {
    return new Fields(this.#record[name], this.#path(name));
  }

  list<T>(name: string, maxItems: number, item: (value: unknown) => T): readonly T[] {
    const value = this.#record[name];
    if (!Array.isArray(value) || value.length > maxItems) {
      throw invalid(this.#path(name), `a list of at most ${maxItems} items`);
    }
    // `map` would leave out the holes of a list that has some, and nobody would have looked at them.
    return Array.from(value, item);
  }

  /** `{}` or `{ name: read(this) }`, ready to be spread into an object with an optional property. */
  optional<K extends string, T>(name: K, read: (fields: Fields, name: K) => T): { [key in K]?: T } {
    return this.has(name) ? ({ [name]: read(this, name) } as { [key in K]?: T }) : {};
  }

  #path(name: string): string {
    return `${this.#what}.${name}`;
  }
}

function invalid(path: string, expected: string): CrashcartError {
  return new CrashcartError(reasons.Invalid, `${path} must be ${expected}`);
}
