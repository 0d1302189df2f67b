/** Texts of /proc, parsed: each function takes what the file says, never a path. */

export interface ProcessStatus {
  /** Real, effective, saved, file system. */
  readonly uids: readonly number[];
  readonly gids: readonly number[];
  readonly groups: readonly number[];
  readonly capabilities: Readonly<Record<'inheritable' | 'permitted' | 'effective' | 'bounding' | 'ambient', bigint>>;
  readonly noNewPrivileges: boolean;
  /** 2: filtered; how many filters, where the kernel says. */
  readonly seccomp: { readonly mode: number; readonly filters?: number };
}

/** /proc/PID/status. A missing field is NaN or an empty list, which equals nothing that one would compare it with. */
export function parseProcessStatus(text: string): ProcessStatus {
  const fields = new Map(
    text.split('\n').map((line) => [line.split(':', 1)[0] ?? '', line.slice(line.indexOf(':') + 1).trim()]),
  );
  const numbers = (name: string): readonly number[] =>
    (fields.get(name) ?? '').split(/\s+/).filter(Boolean).map(Number);
  const mask = (name: string): bigint => BigInt(`0x${fields.get(name) ?? 'ffffffffffffffff'}`);
  const filters = fields.get('Seccomp_filters');
  return {
    uids: numbers('Uid'),
    gids: numbers('Gid'),
    groups: numbers('Groups'),
    capabilities: {
      inheritable: mask('CapInh'),
      permitted: mask('CapPrm'),
      effective: mask('CapEff'),
      bounding: mask('CapBnd'),
      ambient: mask('CapAmb'),
    },
    noNewPrivileges: fields.get('NoNewPrivs') === '1',
    seccomp: { mode: Number(fields.get('Seccomp')), ...(filters === undefined ? {} : { filters: Number(filters) }) },
  };
}

/** Field 22 of /proc/PID/stat, in clock ticks since boot: with the pid it names one process for as long as the machine runs. */
export function parseStartTime(text: string): string {
  // The command's name, in parentheses, may itself hold blanks and parentheses.
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

/** Of /proc/PID/stat; numbers are those of the reader's own pid namespace. */
export function parseRelations(stat: string): {
  readonly state: string;
  readonly parent: number;
  readonly session: number;
} {
  const [state = '', parent, , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state, parent: Number(parent), session: Number(session) };
}

export interface IdRange {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

/** /proc/PID/uid_map or gid_map. */
export const parseIdMap = (text: string): readonly IdRange[] =>
  text
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([inside, outside, count]) =>
      inside === undefined || outside === undefined || count === undefined ? [] : [{ inside, outside, count }],
    );

/** The id that the host knows for an id of a user namespace; undefined where the namespace has no such id. */
export function toHostId(map: readonly IdRange[], id: number): number | undefined {
  const range = map.find(({ inside, count }) => id >= inside && id < inside + count);
  return range && id - range.inside + range.outside;
}

const exitingFlag = 0x4;

/** Whether /proc/PID/stat tells of a process that has begun to end: then its namespaces and cgroups are not those that it had. */
export function isEnding(stat: string): boolean {
  const [state = '', ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return /^[ZXx]/.test(state) || (Number(fields[5]) & exitingFlag) !== 0;
}
