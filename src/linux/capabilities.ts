/** In the kernel's order: the position is the number (capabilities(7)). */
// biome-ignore format: a table
const names = [
  'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP', 'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'IPC_OWNER', 'SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT',
  'SYS_PTRACE', 'SYS_PACCT', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_NICE', 'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD', 'LEASE',
  'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP', 'MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ',
  'PERFMON', 'BPF', 'CHECKPOINT_RESTORE',
] as const;

export type CapabilityName = `CAP_${(typeof names)[number]}`;

/** A set of capabilities, bit N for capability N, as /proc and capset(2) have it. */
export type CapabilityMask = bigint;

/** Names that this list lacks (of a later kernel) are left out: never granted by guess. */
export const capabilityMask = (set: Iterable<string>): CapabilityMask =>
  [...set].reduce((mask, name) => {
    const at = names.indexOf(name.replace(/^CAP_/, '') as (typeof names)[number]);
    return at < 0 ? mask : mask | (1n << BigInt(at));
  }, 0n);

export const capabilityNames = (mask: CapabilityMask): readonly CapabilityName[] =>
  names.filter((_name, at) => (mask >> BigInt(at)) & 1n).map((name) => `CAP_${name}` as const);

/** Those of a kernel whose highest is `last` (/proc/sys/kernel/cap_last_cap). */
export const allCapabilities = (last: number): CapabilityMask => (1n << BigInt(last + 1)) - 1n;
