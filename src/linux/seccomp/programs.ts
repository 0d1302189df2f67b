import { assembleFilter, type SeccompFilter } from './filter.ts';
import type { Architecture } from './syscalls.ts';

/** The sessions of a node need a few: one for each profile and kind of container. */
const most = 16;
/** By all that a program depends on, the last used ones last. */
const known = new Map<string, Buffer>();

/** As assembleFilter, which takes half as long as starting a program: kept for whoever needs the same one again. Not to be written to. */
export function filterProgram(filter: SeccompFilter, architecture: Architecture): Buffer {
  const key = JSON.stringify([architecture, filter], (_name, value: unknown) =>
    typeof value === 'bigint' ? { bits: value.toString(16) } : value,
  );
  const program = known.get(key) ?? assembleFilter(filter, architecture);
  known.delete(key);
  known.set(key, program);
  const [oldest] = known.keys();
  if (known.size > most && oldest !== undefined) known.delete(oldest);
  return program;
}
