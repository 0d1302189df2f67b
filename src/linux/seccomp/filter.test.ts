import { describe, expect, it } from 'vitest';
import { assembleFilter, type Condition, type SeccompFilter } from './filter.ts';
import { type Architecture, syscallsOf } from './syscalls.ts';

const arch = { x64: 0xc000003e, arm64: 0xc00000b7 } as const;
const verdicts = { allow: 0x7fff0000, log: 0x7ffc0000, kill: 0x80000000 } as const;
const refused = (errno: number): number => 0x50000 | errno;

interface Call {
  readonly number: number;
  readonly arch?: number;
  readonly args?: readonly bigint[];
}

/** What the kernel would answer: classic BPF over struct seccomp_data. */
function interpret(program: Buffer, { number, arch: machine = arch.x64, args = [] }: Call): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(number >>> 0, 0);
  data.writeUInt32LE(machine, 4);
  for (const [at, value] of args.entries()) data.writeBigUInt64LE(BigInt.asUintN(64, value), 16 + at * 8);
  let accumulator = 0;
  for (let pc = 0, steps = 0; steps < 200; pc++, steps++) {
    const [code, yes, no, k] = [
      program.readUInt16LE(pc * 8),
      program.readUInt8(pc * 8 + 2),
      program.readUInt8(pc * 8 + 3),
      program.readUInt32LE(pc * 8 + 4),
    ];
    const jump = (holds: boolean): void => {
      pc += holds ? yes : no;
    };
    if (code === 0x20) accumulator = data.readUInt32LE(k);
    else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
    else if (code === 0x05) pc += k;
    else if (code === 0x15) jump(accumulator === k);
    else if (code === 0x25) jump(accumulator > k);
    else if (code === 0x35) jump(accumulator >= k);
    else if (code === 0x06) return k;
    else throw new Error(`instruction ${code}`);
  }
  throw new Error('no end');
}

const number = (name: string, architecture: Architecture = 'x64'): number => syscallsOf(architecture).get(name)!;
const no = { errno: 1 };

describe('assembleFilter', () => {
  const filter: SeccompFilter = {
    rules: [
      { names: ['read', 'openat2'], verdict: 'allow' },
      { names: ['ptrace'], verdict: 'kill' },
      { names: ['uname'], verdict: 'log' },
      { names: ['no_such_call'], verdict: 'allow' },
      { names: ['read'], verdict: 'kill' },
    ],
    otherwise: no,
    unknown: { errno: 38 },
  };

  it.each(['x64', 'arm64'] as const)('decides every call of %s by its first rule', (architecture) => {
    const program = assembleFilter(filter, architecture);
    const expected: Record<string, number> = {
      read: verdicts.allow,
      openat2: verdicts.allow,
      ptrace: verdicts.kill,
      uname: verdicts.log,
    };
    for (const [name, value] of syscallsOf(architecture))
      expect(interpret(program, { number: value, arch: arch[architecture] }), name).toBe(expected[name] ?? refused(1));
    expect(interpret(program, { number: 467 + 1, arch: arch[architecture] })).toBe(refused(38));
  });

  it('ends what calls through another interface than its own', () => {
    const program = assembleFilter(filter, 'x64');
    expect(interpret(program, { number: number('read'), arch: 0x40000003 }), 'i386').toBe(verdicts.kill);
    expect(interpret(program, { number: 0x40000000 }), 'x32').toBe(verdicts.kill);
    expect(interpret(program, { number: -1 })).toBe(verdicts.kill);
  });

  const holds: Readonly<Record<Condition['is'], (argument: bigint, value: bigint) => boolean>> = {
    equal: (argument, value) => argument === value,
    'not equal': (argument, value) => argument !== value,
    less: (argument, value) => argument < value,
    'less or equal': (argument, value) => argument <= value,
    greater: (argument, value) => argument > value,
    'greater or equal': (argument, value) => argument >= value,
    masked: (argument, value) => (argument & 0xff000000ff00n) === value,
  };
  const edges = [0n, 1n, 0x1000n, 0xff00n, 0xffffffffn, 0x100000000n, 0x1000000001n, 0xff0000000000n, 2n ** 64n - 1n];

  it.each(Object.keys(holds) as Condition['is'][])('compares 64 bits: %s', (is) => {
    for (const value of edges) {
      const condition = { argument: 2, is, value, mask: 0xff000000ff00n };
      const rules = [{ names: ['write'], verdict: 'allow', when: [condition] }] as const;
      const program = assembleFilter({ ...filter, rules }, 'x64');
      for (const argument of edges)
        expect(interpret(program, { number: 1, args: [0n, 0n, argument] }), `${argument} ${is} ${value}`).toBe(
          holds[is](argument, value) ? verdicts.allow : refused(1),
        );
    }
  });

  it('wants all conditions of a rule, and goes on to the next rule without them', () => {
    const equal = (argument: number, value: bigint): Condition => ({ argument, is: 'equal', value });
    const rules = [
      { names: ['socket'], verdict: 'allow', when: [equal(0, 1n), equal(1, 2n)] },
      { names: ['socket'], verdict: 'log', when: [{ argument: 0, is: 'greater', value: 5n } as const] },
      { names: ['socket'], verdict: { errno: 97 } },
    ] as const;
    const program = assembleFilter({ ...filter, rules }, 'x64');
    const answer = (...args: bigint[]): number => interpret(program, { number: number('socket'), args });
    expect(answer(1n, 2n)).toBe(verdicts.allow);
    expect(answer(1n, 3n)).toBe(refused(97));
    expect(answer(2n, 2n)).toBe(refused(97));
    expect(answer(6n, 2n)).toBe(verdicts.log);
  });

  it('refuses what the kernel would not take', () => {
    const rules = [...syscallsOf('x64').keys()].map((name, at) => ({
      names: [name],
      verdict: 'allow' as const,
      when: [0, 1, 2].map((argument) => ({ argument, is: 'equal' as const, value: BigInt(at) })),
    }));
    expect(() => assembleFilter({ ...filter, rules }, 'x64')).toThrow(RangeError);
  });
});
