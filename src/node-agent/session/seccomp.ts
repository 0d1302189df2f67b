import type { SeccompRule } from '../../api/profile-rules.ts';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { type CapabilityMask, type CapabilityName, capabilityNames } from '../../linux/capabilities.ts';
import { type Condition, errno, type Rule, type SeccompFilter } from '../../linux/seccomp/filter.ts';

/** What it takes beside the container's own filter to decide. */
export interface SeccompRequest {
  readonly rule: SeccompRule;
  /** For people. */
  readonly profile: string;
  /** The container's own, where it has one. */
  readonly container?: SeccompFilter | undefined;
  /** All that the session can ever hold. */
  readonly capabilities: CapabilityMask;
  /** Those that its profile adds to the container's. */
  readonly added: CapabilityMask;
}

/** The calls that mean nothing without a capability, and are closed to whoever lacks all that open them (as in containerd's default). */
// biome-ignore format: a table
const opened: Readonly<Partial<Record<CapabilityName, readonly string[]>>> = {
  CAP_BPF: ['bpf'],
  CAP_DAC_READ_SEARCH: ['open_by_handle_at'],
  CAP_PERFMON: ['perf_event_open'],
  CAP_SYSLOG: ['syslog'],
  CAP_SYS_ADMIN: [
    'bpf', 'clone3', 'fanotify_init', 'fsconfig', 'fsmount', 'fsopen', 'fspick', 'lookup_dcookie', 'mount', 'mount_setattr',
    'move_mount', 'open_tree', 'open_tree_attr', 'perf_event_open', 'quotactl', 'quotactl_fd', 'setdomainname', 'sethostname',
    'setns', 'syslog', 'umount2', 'unshare',
  ],
  CAP_SYS_BOOT: ['reboot'],
  CAP_SYS_CHROOT: ['chroot'],
  CAP_SYS_MODULE: ['delete_module', 'finit_module', 'init_module'],
  CAP_SYS_NICE: ['get_mempolicy', 'mbind', 'set_mempolicy', 'set_mempolicy_home_node'],
  CAP_SYS_PACCT: ['acct'],
  // Profiling needs the right to look at processes, not the one to look at the kernel: the kernel's own check goes on (perf_event_paranoid).
  CAP_SYS_PTRACE: ['kcmp', 'perf_event_open', 'pidfd_getfd', 'process_madvise'],
  CAP_SYS_RAWIO: ['ioperm', 'iopl'],
  CAP_SYS_TIME: ['clock_settime', 'settimeofday'],
  CAP_SYS_TTY_CONFIG: ['vhangup'],
};
/** Open to everybody in the default filter, but what a profile with the capability is for: a container's own filter may lack them. */
const purpose: typeof opened = { CAP_SYS_PTRACE: ['ptrace', 'process_vm_readv', 'process_vm_writev'] };

/** Closed to everybody: old, dangerous, or not separated by namespaces. */
// biome-ignore format: a table
const closed = [
  '_sysctl', 'add_key', 'afs_syscall', 'create_module', 'get_kernel_syms', 'getpmsg', 'io_uring_enter', 'io_uring_register',
  'io_uring_setup', 'kexec_file_load', 'kexec_load', 'keyctl', 'migrate_pages', 'move_pages', 'nfsservctl', 'pivot_root', 'putpmsg',
  'query_module', 'request_key', 'security', 'swapoff', 'swapon', 'sysfs', 'tuxcall', 'uselib', 'userfaultfd', 'ustat', 'vserver',
];
/** Interfaces of the kernel that no container needs: its cryptography, and the way to the machine that hosts this one. */
const closedSockets = [38n, 40n]; // AF_ALG, AF_VSOCK
const newNamespaces = 0x7e020000n;
const personalities = [0n, 0x8n, 0x20000n, 0x20008n, 0xffffffffn];

/** What would take the node down or over; no profile is for that. */
// biome-ignore format: a table
const floor = [
  'acct', 'create_module', 'delete_module', 'finit_module', 'init_module', 'ioperm', 'iopl', 'kexec_file_load', 'kexec_load', 'reboot',
  'swapoff', 'swapon',
];

const no = { errno: errno.EPERM } as const;
const noSuchCall = { errno: errno.ENOSYS } as const;

/**
 * The filters of a session, all of which must let a call through. Throws ProfileRefused for a container whose own filter would not
 * let any shell start.
 */
export function decideSeccomp({ rule, profile, container, capabilities, added }: SeccompRequest): SeccompFilter[] {
  if (rule === 'Floor') return [{ rules: [{ names: floor, verdict: no }], otherwise: 'allow', unknown: 'allow' }];
  const own = runtimeDefault(capabilities);
  if (rule === 'RuntimeDefault' || container === undefined) return [own];
  return [own, withCallsOf(added, usable(container, profile))];
}

/** containerd's default filter for a container with these capabilities. */
export function runtimeDefault(capabilities: CapabilityMask): SeccompFilter {
  const held = new Set<string>(capabilityNames(capabilities));
  const open = new Set(capabilityNames(capabilities).flatMap((name) => opened[name] ?? []));
  const gated = [...new Set(Object.values(opened).flat())].filter((name) => !open.has(name));
  // Threads are made with clone3 first, and with clone where there is no such call; its flags lie in memory that a filter cannot read.
  const refused = gated.filter((name) => name !== 'clone3');
  const rules: readonly Rule[] = [
    { names: refused, verdict: no },
    { names: closed, verdict: no },
    ...(held.has('CAP_SYS_ADMIN') ? [] : withoutNamespaces),
    ...closedSockets.map((family): Rule => ({ names: ['socket'], verdict: no, when: [equal(0, family)] })),
    ...personalities.map((value): Rule => ({ names: ['personality'], verdict: 'allow', when: [equal(0, value)] })),
    { names: ['personality'], verdict: no },
  ];
  return { rules, otherwise: 'allow', unknown: noSuchCall };
}

const equal = (argument: number, value: bigint): Condition => ({ argument, is: 'equal', value });

const withoutNamespaces: readonly Rule[] = [
  { names: ['clone3'], verdict: noSuchCall },
  { names: ['clone'], verdict: 'allow', when: [{ argument: 0, is: 'masked', mask: newNamespaces, value: 0n }] },
  { names: ['clone'], verdict: no },
];

/** Of crashcart-enter behind its filters, when it has dropped all else; nothing can be gained by them. */
const entering: readonly Rule[] = [
  { names: ['capset', 'setsid'], verdict: 'allow' },
  { names: ['prctl'], verdict: 'allow', when: [equal(0, 1n)] }, // PR_SET_PDEATHSIG
];

function withCallsOf(added: CapabilityMask, filter: SeccompFilter): SeccompFilter {
  const names = capabilityNames(added).flatMap((name) => [...(opened[name] ?? []), ...(purpose[name] ?? [])]);
  return { ...filter, rules: [{ names, verdict: 'allow' }, ...entering, ...filter.rules] };
}

/** Without one of these nothing can be started, or no shell can work. */
const needed = ['execve', 'exit_group', 'read', 'write', 'clone', 'ioctl', 'openat', 'close', 'mmap', 'rt_sigaction'];

function usable(filter: SeccompFilter, profile: string): SeccompFilter {
  const missing = needed.filter((name) => !lets(filter, name));
  if (missing.length === 0) return filter;
  throw new CrashcartError(
    reasons.ProfileRefused,
    `The container's own seccomp filter does not let through ${missing.join(', ')}, so no shell can start under it, and the profile "${profile}" keeps to it: take one whose rule for seccomp is not "Container", such as "sysadmin".`,
  );
}

/** At least with some arguments. */
function lets({ rules, otherwise }: SeccompFilter, name: string): boolean {
  const verdicts = rules.filter(({ names }) => names.includes(name));
  const decided = verdicts.findIndex(({ when = [] }) => when.length === 0);
  const possible =
    decided < 0
      ? [...verdicts.map(({ verdict }) => verdict), otherwise]
      : verdicts.slice(0, decided + 1).map(({ verdict }) => verdict);
  return possible.some((verdict) => verdict === 'allow' || verdict === 'log');
}
