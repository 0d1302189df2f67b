import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { seeds } from './seeds.ts';

/** 10^4 in CI, 10^6 by `make fuzz`. */
const runs = Number(process.env['FUZZ_RUNS'] ?? 10_000);
const chosen = process.env['FUZZ_SEED'];
/** More than this kept after the second half of the inputs than after the first is a leak. */
const mostGrowthBytes = 24 * 1024 * 1024;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heldBytes(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/**
 * One target: `judge` gets inputs of every shape and throws when something is wrong with what came of one. Seeds that once found something
 * are tried first; then new ones, so that no two runs look at the same inputs. A failure prints its seed: put it into seeds.ts.
 */
export function fuzz<T>(name: string, inputs: fc.Arbitrary<T>, judge: (input: T) => void): void {
  test(
    name,
    () => {
      for (const seed of seeds[name] ?? []) fc.assert(fc.property(inputs, judge), { numRuns: 1_000, seed });
      const seed = chosen === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(chosen);
      const half = Math.ceil(runs / 2);
      fc.assert(fc.property(inputs, judge), { numRuns: half, seed });
      const before = heldBytes();
      fc.assert(fc.property(inputs, judge), { numRuns: half, seed: seed + 1 });
      expect(heldBytes() - before).toBeLessThan(mostGrowthBytes);
    },
    60_000 + runs * 20,
  );
}

/** A valid value in which something, somewhere, is replaced: what a hostile sender who knows the format would try. */
export const spoiled = (valid: object): fc.Arbitrary<unknown> => {
  const paths = pathsOf(valid);
  const change = fc.tuple(fc.constantFrom(...paths), fc.oneof(fc.anything(), fc.constantFrom(...awkward)));
  return fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => {
    let copy: unknown = structuredClone(valid);
    for (const [path, value] of changes) copy = replaced(copy, path, value);
    return copy;
  });
};

/** What parsers stumble over. */
const awkward: readonly unknown[] = [
  undefined,
  null,
  '',
  '\0',
  '__proto__',
  '../../etc/passwd',
  '\ud800',
  'a'.repeat(300_000),
  -1,
  2 ** 53,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  1.5,
  [],
  {},
  Array.from({ length: 5_000 }, () => 'x'),
  JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1}'),
];

type Path = readonly (string | number)[];

function pathsOf(value: unknown, at: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [at];
  return [at, ...Object.entries(value).flatMap(([key, each]) => pathsOf(each, [...at, key]))];
}

function replaced(value: unknown, path: Path, by: unknown): unknown {
  const [head, ...rest] = path;
  if (head === undefined) return by;
  if (typeof value !== 'object' || value === null) return value;
  const copy = Array.isArray(value) ? [...value] : { ...value };
  const fields = copy as Record<string | number, unknown>;
  fields[head] = replaced(fields[head], rest, by);
  return copy;
}

/** Bytes as they come from a socket: cut anywhere. */
export const chunked = (bytes: fc.Arbitrary<Uint8Array>): fc.Arbitrary<readonly Buffer[]> =>
  fc.tuple(bytes, fc.array(fc.nat({ max: 64 }), { maxLength: 20 })).map(([whole, cuts]) => {
    const chunks: Buffer[] = [];
    let at = 0;
    for (const length of cuts) {
      if (at >= whole.length) break;
      chunks.push(Buffer.from(whole.slice(at, at + length + 1)));
      at += length + 1;
    }
    if (at < whole.length) chunks.push(Buffer.from(whole.slice(at)));
    return chunks;
  });
