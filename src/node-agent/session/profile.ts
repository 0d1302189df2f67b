import type { ProfileRules, SessionLimits } from '../../api/profile-rules.ts';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { type CapabilityMask, capabilityMask, capabilityNames } from '../../linux/capabilities.ts';
import { type ResourceLimit, resourceNumber } from '../../linux/rlimits.ts';
import type { SeccompFilter } from '../../linux/seccomp/filter.ts';
import type { SecurityModule } from '../../linux/security-module.ts';
import type { TargetSpec } from './request.ts';
import { decideSeccomp } from './seccomp.ts';

/** What the session's processes are; ids as the container counts them. */
export interface Privileges {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  /** More than this they can never get. */
  readonly bounding: CapabilityMask;
  /** Have at the start (effective too). */
  readonly permitted: CapabilityMask;
  /** Keep through exec although they are not root. */
  readonly ambient: CapabilityMask;
  readonly noNewPrivileges: boolean;
  /** All of them must let a call through. */
  readonly seccomp: readonly SeccompFilter[];
  readonly rlimits: readonly ResourceLimit[];
  /** Of the node's security module; none where it has none or the container is not confined by it. */
  readonly label?: SecurityLabel;
  /** Of the session's cgroup. */
  readonly limits: SessionLimits;
}

export interface SecurityLabel {
  readonly module: SecurityModule;
  readonly name: string;
}

export interface ProfileRequest {
  readonly spec: TargetSpec;
  /** For people. */
  readonly profile: string;
  readonly rules: ProfileRules;
  readonly user?: { readonly uid?: number; readonly gid?: number } | undefined;
  /** What the agent can give: its own capabilities, or all in a user namespace of the container's own. */
  readonly available: CapabilityMask;
  /** The container has no pid namespace of its own but sees the node's processes (hostPID). */
  readonly seesNode: boolean;
  /** Which the node's kernel enforces. */
  readonly securityModule?: SecurityModule | undefined;
}

const ptrace = capabilityMask(['SYS_PTRACE']);
/**
 * Setting wake-up timers harms nobody, and a container without the capability can neither trace a process that has it nor open its memory,
 * environment and descriptors: "a superset of the tracer's capabilities" is the kernel's test (ptrace(2)).
 */
const shield = capabilityMask(['WAKE_ALARM']);
const setUid = capabilityMask(['SETUID']);
const setGid = capabilityMask(['SETGID']);
const none: CapabilityMask = 0n;

/** Decides; throws ProfileRefused with the reason. */
export function decidePrivileges(request: ProfileRequest): Privileges {
  const { spec, profile, rules, user, available } = request;
  const ids = { uid: user?.uid ?? spec.user.uid, gid: user?.gid ?? spec.user.gid, groups: spec.user.additionalGids };
  const noNewPrivileges = rules.noNewPrivileges || spec.noNewPrivileges;
  if (rules.users !== 'Any') requireReachable(spec, ids);
  if (rules.runAsNonRoot) requireNonRoot(profile, ids.uid);
  const own = rules.capabilities.drop === 'All' ? none : capabilityMask(spec.capabilities.bounding);
  const added = additions(request);
  requireAvailable(profile, added & ~available);
  requireSafe(profile, capabilityMask(spec.capabilities.bounding), added);
  const gained = added | guard(request, own | added);
  const bounding = (own & available) | gained;
  // Root gets its bounding set at every exec; others only what is ambient, as the container's own processes do.
  const kept = (own & available & capabilityMask(spec.capabilities.ambient)) | gained;
  const isRoot = ids.uid === 0;
  const label = securityLabel(request);
  const calls = { rule: rules.seccomp, profile, container: spec.seccomp, capabilities: bounding, added };
  return {
    ...ids,
    bounding,
    permitted: isRoot ? bounding : kept,
    ambient: isRoot ? none : kept,
    noNewPrivileges,
    seccomp: decideSeccomp(calls),
    rlimits: resourceLimits(spec),
    ...(label ? { label } : {}),
    limits: rules.limits,
  };
}

/** The container's own: what a mandatory policy says about the workload holds for whoever debugs it. */
function securityLabel({ spec, rules, securityModule }: ProfileRequest): SecurityLabel | undefined {
  const named = { apparmor: spec.apparmorProfile, selinux: spec.selinuxLabel };
  const name = securityModule && named[securityModule];
  // Nobody but a privileged container is unconfined, and a session that shall be like one is not bound by the workload's profile either.
  if (securityModule === undefined || !name || name === 'unconfined' || rules.seccomp === 'Floor') return undefined;
  return { module: securityModule, name };
}

/** The container's own, and no core dumps, which would carry its memory to wherever the node collects them. */
function resourceLimits({ rlimits = [] }: TargetSpec): readonly ResourceLimit[] {
  const core = resourceNumber('CORE') ?? 4;
  const own = rlimits.filter(({ resource }) => resource !== core);
  return [...own, { resource: core, soft: 0n, hard: 0n }];
}

/** Who may trace processes may be each of them: a profile gives that among the pod's own processes only, never among the node's. */
function additions({ rules, available, seesNode }: ProfileRequest): CapabilityMask {
  const { add } = rules.capabilities;
  if (add === 'All') return available;
  return capabilityMask(add) & ~(seesNode ? ptrace : none);
}

/** None for a session that shall have nothing at all, and none against a container that may trace everything anyway. */
function guard({ spec, rules, available }: ProfileRequest, held: CapabilityMask): CapabilityMask {
  const container = capabilityMask(spec.capabilities.bounding);
  const empty = rules.capabilities.drop === 'All' && held === none;
  return empty || container & (ptrace | shield) ? none : shield & available;
}

function requireNonRoot(profile: string, uid: number): void {
  if (uid !== 0) return;
  throw new CrashcartError(
    reasons.ProfileRefused,
    `The profile "${profile}" does not run as root, and the container does: name another user id, or take another profile.`,
  );
}

/**
 * A session is as strong as `kubectl exec`: its user is one that the container's own processes could become. Without this, uid 0 would be root
 * in a pod that must not run as root, over files of the node where it mounts some.
 */
function requireReachable({ user, capabilities }: TargetSpec, ids: Pick<Privileges, 'uid' | 'gid'>): void {
  const held = capabilityMask(user.uid === 0 ? capabilities.bounding : capabilities.ambient);
  const uid = ids.uid === user.uid || (held & setUid) !== none;
  const gid = [user.gid, ...user.additionalGids].includes(ids.gid) || (held & setGid) !== none;
  if (uid && gid) return;
  throw new CrashcartError(
    reasons.ProfileRefused,
    `The container runs as ${user.uid}:${user.gid} and cannot become ${ids.uid}:${ids.gid}, so this profile cannot either: leave the user out, or use "sysadmin".`,
  );
}

function requireAvailable(profile: string, missing: CapabilityMask): void {
  if (missing === none) return;
  throw new CrashcartError(
    reasons.ProfileRefused,
    `The profile "${profile}" needs ${list(missing)}, which the node agent does not hold: add it to the agent in the chart's values.`,
  );
}

/** Who holds SYS_PTRACE can take over every process in sight, and so would get what the session has more. */
function requireSafe(profile: string, container: CapabilityMask, added: CapabilityMask): void {
  const more = added & ~container;
  if (more === none || !(container & ptrace)) return;
  throw new CrashcartError(
    reasons.ProfileRefused,
    `The profile "${profile}" would hand ${list(more)} to the container, which holds CAP_SYS_PTRACE and could take the session over: use "general" or "baseline".`,
  );
}

const list = (mask: CapabilityMask): string => capabilityNames(mask).join(', ');
