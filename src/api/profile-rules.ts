import type { ProfileName } from './debug-session.ts';

/** How much of the kernel a session may call; docs/enter.md says what each lets through. */
export const seccompRules = ['Container', 'RuntimeDefault', 'Floor'] as const;
/**
 * - Container: what the container runtime's default filter gives for the session's capabilities, and of that only what the
 *   container's own filter lets through (calls that the profile's capabilities are for excepted)
 * - RuntimeDefault: the same, whatever filter the container has
 * - Floor: everything but what takes the node down or over (kernel modules, kexec, reboot …)
 */
export type SeccompRule = (typeof seccompRules)[number];

/** What bounds a session's use of the node. Left out: no limit of its own. */
export interface SessionLimits {
  readonly memoryBytes?: number;
  /** Processes and threads. */
  readonly pids?: number;
  /** Processor time as a number of cores, such as 0.5. */
  readonly cpus?: number;
}

/** What a profile means, as data: the node agent decides by nothing else. */
export interface ProfileRules {
  readonly capabilities: {
    /** In addition to the container's own, named as in a pod (`NET_ADMIN`); `All`: everything the agent holds. */
    readonly add: readonly string[] | 'All';
    /** Of the container's own: none is kept, and none is ever gained. */
    readonly drop?: 'All';
  };
  /** Which users beside the container's own. `Reachable`: those that the container's processes could become. */
  readonly users: 'Reachable' | 'Any';
  readonly runAsNonRoot: boolean;
  readonly seccomp: SeccompRule;
  /** True: set it, also where the container has not. A container's own is always kept. */
  readonly noNewPrivileges: boolean;
  readonly limits: SessionLimits;
}

/** Enough for a debugger on a large program and a build or two; a memory hog or a fork bomb is nobody else's concern. */
export const defaultLimits: SessionLimits = { memoryBytes: 1024 ** 3, pids: 1024, cpus: 1 };

const asContainer: ProfileRules = {
  capabilities: { add: [] },
  users: 'Reachable',
  runAsNonRoot: false,
  seccomp: 'Container',
  noNewPrivileges: false,
  limits: defaultLimits,
};

/** The profiles that come with Crashcart; names and meanings are those of `kubectl debug`. */
export const shippedProfiles: Readonly<Record<ProfileName, ProfileRules>> = {
  baseline: asContainer,
  general: { ...asContainer, capabilities: { add: ['SYS_PTRACE'] } },
  netadmin: { ...asContainer, capabilities: { add: ['NET_ADMIN', 'NET_RAW'] } },
  restricted: {
    ...asContainer,
    capabilities: { add: [], drop: 'All' },
    runAsNonRoot: true,
    noNewPrivileges: true,
  },
  sysadmin: { ...asContainer, capabilities: { add: 'All' }, users: 'Any', seccomp: 'Floor' },
};
