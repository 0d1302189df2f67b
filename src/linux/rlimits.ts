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
