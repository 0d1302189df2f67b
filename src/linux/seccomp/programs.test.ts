import { describe, expect, it } from 'vitest';
import { assembleFilter, type Condition, type SeccompFilter } from './filter.ts';
import { filterProgram } from './programs.ts';

const filter = (names: readonly string[], when: readonly Condition[] = []): SeccompFilter => ({
  rules: [{ names, verdict: { errno: 1 }, when }],
  otherwise: 'allow',
  unknown: 'kill',
});
const value = (bits: bigint): readonly Condition[] => [{ argument: 0, is: 'equal', value: bits }];

describe('filterProgram', () => {
  it('is the same for the same filter, whoever made it', () => {
    const program = filterProgram(filter(['mount'], value(7n)), 'x64');
    expect(program.equals(assembleFilter(filter(['mount'], value(7n)), 'x64'))).toBe(true);
    expect(filterProgram(filter(['mount'], value(7n)), 'x64')).toBe(program);
  });

  it('is another one for whatever differs', () => {
    const filters = [
      filter(['mount']),
      filter(['umount2']),
      filter(['mount', 'umount2']),
      filter(['mount'], value(0n)),
      filter(['mount'], value(1n)),
      filter(['mount'], value(0x1_0000_0001n)),
      { ...filter(['mount']), otherwise: 'log' } as const,
      { ...filter(['mount']), unknown: 'allow' } as const,
    ];
    for (const architecture of ['x64', 'arm64'] as const) {
      for (const each of [...filters, ...filters])
        expect(filterProgram(each, architecture).equals(assembleFilter(each, architecture))).toBe(true);
    }
  });

  it('keeps sixteen, those that were needed last', () => {
    const first = filterProgram(filter(['read']), 'x64');
    const second = filterProgram(filter(['write']), 'x64');
    for (let number = 0n; number < 14n; number++) filterProgram(filter(['read'], value(number)), 'x64');
    expect(filterProgram(filter(['read']), 'x64')).toBe(first);
    filterProgram(filter(['close']), 'x64');
    expect(filterProgram(filter(['read']), 'x64')).toBe(first);
    expect(filterProgram(filter(['write']), 'x64')).not.toBe(second);
  });
});
