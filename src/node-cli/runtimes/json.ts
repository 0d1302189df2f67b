/** Reading answers that others wrote: whatever is not of the right kind reads as missing. */
export type Json = Readonly<Record<string, unknown>>;

export const object = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
export const array = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
export const text = (value: unknown): string => (typeof value === 'string' ? value : '');
export const strings = (value: unknown): readonly string[] =>
  array(value).filter((item): item is string => typeof item === 'string');
/** A pid, or 0. */
export const pidOf = (value: unknown): number =>
  typeof value === 'number' && Number.isInteger(value) && value > 1 && value < 2 ** 31 ? value : 0;
