import { CrashcartError, reasons } from '../../base/errors.ts';
import type { ResourceLimit } from '../../linux/rlimits.ts';

/** In the order of `struct request` in native/enter.h, which tells the meaning of each. */
export const descriptorNames = [
  'gate',
  'pidfd',
  'toolbox',
  'devpts',
  'ring',
  'wake',
  'poke',
  'output',
  'errors',
  'input',
  'cgroup',
  'hostcgroup',
  'proc',
  'home',
] as const;

export type DescriptorName = (typeof descriptorNames)[number];

/** What crashcart-enter is told beside descriptors; left out: 0, no, none. */
export interface EntryValues {
  readonly namespaces?: number | bigint;
  /** Hexadecimal. */
  readonly device?: string;
  readonly bounding?: bigint;
  readonly permitted?: bigint;
  readonly ambient?: bigint;
  readonly rlimits?: readonly ResourceLimit[];
  readonly userns?: boolean;
  readonly tty?: boolean;
  readonly nonewprivs?: boolean;
  readonly created?: boolean;
  readonly createddev?: boolean;
  readonly uid?: number;
  readonly gid?: number;
  readonly groups?: readonly number[];
  readonly cwd?: string;
  readonly label?: string;
  readonly labelfile?: string;
}

/** Descriptors of v1 cgroups that the command and the supervisor go to, and of seccomp programs. */
export interface DescriptorLists {
  readonly joins?: readonly number[];
  readonly homes?: readonly number[];
  readonly filters?: readonly number[];
}

/** Descriptors by their numbers in the child. */
export interface EntryRequest extends DescriptorLists {
  readonly descriptors: Readonly<Partial<Record<DescriptorName, number>>>;
  readonly values: EntryValues;
}

const noFd = -1;
const most = { rlimits: 16, cgroups: 16, filters: 2, groups: 256 } as const;
/** Bytes, the NUL behind it included. */
const room = { cwd: 4096, label: 4096, labelfile: 60 } as const;

/**
 * The bytes of `struct request`.
 * @throws CrashcartError ContainerUnsupported for more of something than it has room for
 */
export function encodeRequest({ descriptors, joins = [], homes = [], filters = [], values }: EntryRequest): Buffer {
  const u64 = (...numbers: readonly bigint[]): Buffer => Buffer.from(BigUint64Array.from(numbers).buffer);
  const u32 = (...numbers: readonly number[]): Buffer => Buffer.from(Uint32Array.from(numbers).buffer);
  const i32 = (...numbers: readonly number[]): Buffer => Buffer.from(Int32Array.from(numbers).buffer);
  const list = (name: string, fds: readonly number[], size: number): Buffer => i32(...padded(name, fds, size, noFd));
  const { rlimits = [], groups = [] } = values;
  const limits = rlimits.map(({ resource, soft, hard }) => [BigInt(resource), soft, hard]);
  return Buffer.concat([
    u64(BigInt(values.namespaces ?? 0), BigInt(`0x${values.device ?? 0}`)),
    u64(values.bounding ?? 0n, values.permitted ?? 0n, values.ambient ?? 0n),
    u64(...padded('resource limits', limits, most.rlimits, [0n, 0n, 0n]).flat()),
    i32(...descriptorNames.map((name) => descriptors[name] ?? noFd)),
    list('cgroups', homes, most.cgroups),
    list('cgroups', joins, most.cgroups),
    list('seccomp filters', filters, most.filters),
    u32(Number(values.userns ?? false), Number(values.tty ?? false), Number(values.nonewprivs ?? false)),
    u32(Number(values.created ?? false), Number(values.createddev ?? false)),
    u32(values.uid ?? 0, values.gid ?? 0, rlimits.length, groups.length),
    u32(...padded('groups', groups, most.groups, 0)),
    text('working directory', values.cwd ?? '/', room.cwd),
    text('label', values.label ?? '', room.label),
    text('label file', values.labelfile ?? '', room.labelfile),
  ]);
}

function padded<T>(name: string, entries: readonly T[], size: number, filler: T): readonly T[] {
  if (entries.length > size) throw unsupported(`has ${entries.length} ${name}, and a session takes at most ${size}`);
  return [...entries, ...Array<T>(size - entries.length).fill(filler)];
}

function text(name: string, value: string, size: number): Buffer {
  if (value.includes('\0')) throw unsupported(`has a ${name} with a NUL in it`);
  const length = Buffer.byteLength(value);
  if (length >= size) throw unsupported(`has a ${name} of ${length} bytes, and a session takes less than ${size}`);
  const bytes = Buffer.alloc(size);
  bytes.write(value);
  return bytes;
}

const unsupported = (what: string): CrashcartError =>
  new CrashcartError(reasons.ContainerUnsupported, `The container cannot be entered: it ${what}.`);
