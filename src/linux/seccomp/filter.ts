/** System call filters as data, and as the classic BPF that seccomp(2) takes. */
import { type Architecture, syscallsOf } from './syscalls.ts';

export type Verdict = 'allow' | 'log' | 'kill' | { readonly errno: number };

/** On an argument as 64 bits without sign. `masked`: argument & mask equals value. */
export interface Condition {
  /** 0..5 */
  readonly argument: number;
  readonly is: 'equal' | 'not equal' | 'less' | 'less or equal' | 'greater' | 'greater or equal' | 'masked';
  readonly value: bigint;
  readonly mask?: bigint;
}

export interface Rule {
  /** Names that an architecture lacks mean nothing there. */
  readonly names: readonly string[];
  readonly verdict: Verdict;
  /** All must hold; none: always. */
  readonly when?: readonly Condition[];
}

export interface SeccompFilter {
  /** The first rule that fits decides. */
  readonly rules: readonly Rule[];
  /** For the calls that no rule fits. */
  readonly otherwise: Verdict;
  /** For calls that are newer than all that the filter's author can have known. */
  readonly unknown: Verdict;
}

export const errno = { EPERM: 1, ENOSYS: 38 } as const;

// biome-ignore format: a table
const op = {
  load: 0x20, and: 0x54, jump: 0x05, ifEqual: 0x15, ifGreater: 0x25, ifAtLeast: 0x35, return: 0x06,
} as const;
/** struct seccomp_data: number, architecture, instruction pointer, six arguments of 64 bits. */
const at = { number: 0, architecture: 4, arguments: 16 } as const;
const auditArch: Readonly<Record<Architecture, number>> = { x64: 0xc000003e, arm64: 0xc00000b7 };
/** Set in the number of a call by the x32 interface, which has the architecture of x64. */
const x32 = 0x40000000;
/** Of the kernel (BPF_MAXINSNS). */
const maxInstructions = 4096;

interface Instruction {
  readonly code: number;
  /** Instructions to skip, at most 255. */
  readonly yes?: number;
  readonly no?: number;
  readonly k: number;
}

/**
 * struct sock_filter[], 8 bytes each. A call through another interface than the architecture's own (32-bit, x32) ends the process: its
 * numbers mean other calls. Throws RangeError for a filter that the kernel would not take.
 */
export function assembleFilter(filter: SeccompFilter, architecture: Architecture): Buffer {
  const program = [
    { code: op.load, k: at.architecture },
    { code: op.ifEqual, yes: 1, k: auditArch[architecture] },
    giveBack('kill'),
    { code: op.load, k: at.number },
    { code: op.ifAtLeast, no: 1, k: x32 },
    giveBack('kill'),
    ...search(ranges(filter, architecture)),
  ];
  if (program.length > maxInstructions) throw new RangeError(`the filter has ${program.length} instructions`);
  const bytes = Buffer.alloc(program.length * 8);
  program.forEach(({ code, yes = 0, no = 0, k }, index) => {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(yes, index * 8 + 2);
    bytes.writeUInt8(no, index * 8 + 3);
    bytes.writeUInt32LE(k, index * 8 + 4);
  });
  return bytes;
}

/** Numbers from `first` up to the next range's, and what is done with them. */
interface Range {
  readonly first: number;
  readonly code: readonly Instruction[];
}

function ranges(filter: SeccompFilter, architecture: Architecture): readonly Range[] {
  const calls = [...syscallsOf(architecture)].sort(([, one], [, other]) => one - other);
  const rules = rulesByName(filter.rules);
  const found: Range[] = [{ first: 0, code: [giveBack(filter.otherwise)] }];
  const add = (first: number, code: readonly Instruction[]): void => {
    if (!sameCode(found.at(-1)?.code, code)) found.push({ first, code });
  };
  for (const [name, number] of calls) {
    add(number, decide(rules.get(name) ?? [], filter.otherwise));
  }
  add((calls.at(-1)?.[1] ?? 0) + 1, [giveBack(filter.unknown)]);
  return found;
}

const sameCode = (one: readonly Instruction[] | undefined, other: readonly Instruction[]): boolean =>
  one?.length === other.length &&
  one.every(({ code, yes = 0, no = 0, k }, at) => {
    const same = other[at];
    return code === same?.code && k === same.k && yes === (same.yes ?? 0) && no === (same.no ?? 0);
  });

/** Those that name a call, in their order. */
function rulesByName(rules: readonly Rule[]): ReadonlyMap<string, readonly Rule[]> {
  const found = new Map<string, Rule[]>();
  for (const rule of rules) {
    for (const name of new Set(rule.names)) {
      const known = found.get(name);
      if (known) known.push(rule);
      else found.set(name, [rule]);
    }
  }
  return found;
}

function decide(rules: readonly Rule[], otherwise: Verdict): readonly Instruction[] {
  const code: Instruction[] = [];
  for (const { verdict, when = [] } of rules) {
    if (when.length === 0) return [...code, giveBack(verdict)];
    code.push(...unless(when, [giveBack(verdict)]));
  }
  return [...code, giveBack(otherwise)];
}

/** `body` is run when all conditions hold, else skipped. */
function unless(conditions: readonly Condition[], body: readonly Instruction[]): readonly Instruction[] {
  const [first, ...others] = conditions;
  if (first === undefined) return body;
  const rest = unless(others, body);
  return [...test(first, rest.length), ...rest];
}

/** Skips `skip` instructions after itself when the condition does not hold. */
function test({ argument, is, value, mask }: Condition, skip: number): readonly Instruction[] {
  const low = { code: op.load, k: at.arguments + argument * 8 };
  const high = { code: op.load, k: low.k + 4 };
  const [valueHigh, valueLow] = halves(value);
  const [maskHigh, maskLow] = halves(mask ?? 0n);
  // Where to jump, put in below: behind what is skipped, or right behind the test.
  const far = 0xff;
  const holds = 0xfe;
  const order = (code: number, yes: number, no: number): readonly Instruction[] => [
    high,
    { code: op.ifGreater, yes, k: valueHigh },
    { code: op.ifEqual, no, k: valueHigh },
    low,
    { code, yes, no, k: valueLow },
  ];
  const tests: Readonly<Record<Condition['is'], () => readonly Instruction[]>> = {
    masked: () => [
      high,
      { code: op.and, k: maskHigh },
      { code: op.ifEqual, no: far, k: valueHigh },
      low,
      { code: op.and, k: maskLow },
      { code: op.ifEqual, no: far, k: valueLow },
    ],
    equal: () => [high, { code: op.ifEqual, no: far, k: valueHigh }, low, { code: op.ifEqual, no: far, k: valueLow }],
    'not equal': () => [
      high,
      { code: op.ifEqual, no: holds, k: valueHigh },
      low,
      { code: op.ifEqual, yes: far, k: valueLow },
    ],
    greater: () => order(op.ifGreater, holds, far),
    'greater or equal': () => order(op.ifAtLeast, holds, far),
    less: () => order(op.ifAtLeast, far, holds),
    'less or equal': () => order(op.ifGreater, far, holds),
  };
  const code = tests[is]();
  const target = (mark: number | undefined, index: number): number => {
    if (mark === far) return code.length - 1 - index + skip;
    if (mark === holds) return code.length - 1 - index;
    return mark ?? 0;
  };
  return code.map(({ yes, no, ...rest }, index) => ({ ...rest, yes: target(yes, index), no: target(no, index) }));
}

const halves = (value: bigint): readonly [number, number] => [
  Number((value >> 32n) & 0xffffffffn),
  Number(value & 0xffffffffn),
];

/** A binary search, because the kernel runs this at every call; short jumps reach 255 instructions, a long one has no condition. */
function search(found: readonly Range[]): readonly Instruction[] {
  const [only] = found;
  if (only === undefined || found.length === 1) return only?.code ?? [];
  const middle = found.length >> 1;
  const below = search(found.slice(0, middle));
  const above = search(found.slice(middle));
  const first = found[middle]?.first ?? 0;
  if (below.length <= 255) return [{ code: op.ifAtLeast, yes: below.length, k: first }, ...below, ...above];
  return [{ code: op.ifAtLeast, no: 1, k: first }, { code: op.jump, k: below.length }, ...below, ...above];
}

function giveBack(verdict: Verdict): Instruction {
  if (verdict === 'allow') return { code: op.return, k: 0x7fff0000 };
  if (verdict === 'log') return { code: op.return, k: 0x7ffc0000 };
  if (verdict === 'kill') return { code: op.return, k: 0x80000000 };
  return { code: op.return, k: 0x00050000 | (verdict.errno & 0xfff) };
}
