import { readFileSync } from 'node:fs';

/** In the kernel's order: the position is the number (setrlimit(2)). */
// biome-ignore format: a table
const names = [
  'CPU', 'FSIZE', 'DATA', 'STACK', 'CORE', 'RSS', 'NPROC', 'NOFILE', 'MEMLOCK', 'AS', 'LOCKS', 'SIGPENDING', 'MSGQUEUE', 'NICE',
  'RTPRIO', 'RTTIME',
];

export interface ResourceLimit {
  readonly resource: number;
  /** In the resource's own unit; `unlimited`. */
  readonly soft: bigint;
  readonly hard: bigint;
}

export const unlimited = 2n ** 64n - 1n;

/** Of `RLIMIT_NOFILE`; undefined for one that Linux does not have. */
export function resourceNumber(name: string): number | undefined {
  const at = names.indexOf(name.replace(/^RLIMIT_/, ''));
  return at < 0 ? undefined : at;
}

/** /proc/PID/limits: `Max open files  1024  4096  files`. A line of a later kernel is left out. */
export function parseLimits(text: string): readonly ResourceLimit[] {
  return text.split('\n').flatMap((line) => {
    const [, title = '', soft = '', hard = ''] = /^Max (.+?)\s{2,}(\d+|unlimited)\s+(\d+|unlimited)/.exec(line) ?? [];
    const resource = resourceNumber(limitNames[title] ?? '');
    const number = (value: string): bigint => (value === 'unlimited' ? unlimited : BigInt(value));
    return resource === undefined ? [] : [{ resource, soft: number(soft), hard: number(hard) }];
  });
}

const limitNames: Readonly<Record<string, string>> = {
  'cpu time': 'CPU', 'file size': 'FSIZE', 'data size': 'DATA', 'stack size': 'STACK', 'core file size': 'CORE', 'resident set': 'RSS',
  processes: 'NPROC', 'open files': 'NOFILE', 'locked memory': 'MEMLOCK', 'address space': 'AS', 'file locks': 'LOCKS',
  'pending signals': 'SIGPENDING', 'msgqueue size': 'MSGQUEUE', 'nice priority': 'NICE', 'realtime priority': 'RTPRIO', 'realtime timeout': 'RTTIME',
}; // biome-ignore format: a table

/** Of this process, and so of what it starts. */
export const ownLimits = (): readonly ResourceLimit[] => parseLimits(readFileSync('/proc/self/limits', 'utf8'));

/** No hard limit above one of `own`: to lower one takes no right, to raise one does. */
export function withinLimits(
  wanted: readonly ResourceLimit[],
  own: readonly ResourceLimit[],
): readonly ResourceLimit[] {
  const least = (one: bigint, other: bigint): bigint => (one < other ? one : other);
  return wanted.map(({ resource, soft, hard }) => {
    const bound = least(hard, own.find((each) => each.resource === resource)?.hard ?? unlimited);
    return { resource, soft: least(soft, bound), hard: bound };
  });
}
