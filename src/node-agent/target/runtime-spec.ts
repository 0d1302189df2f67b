/** What a container is made of, from the JSON that a CRI runtime gives in a verbose ContainerStatus. */
import { CrashcartError, reasons } from '../../base/errors.ts';
import type { Fd, Pid } from '../../linux/kernel.ts';
import { type ResourceLimit, resourceNumber, unlimited } from '../../linux/rlimits.ts';
import type { SeccompFilter } from '../../linux/seccomp/filter.ts';
import { parseSeccomp } from './seccomp-spec.ts';

/** A running container, pinned: while `pidfd` is open, `pid` cannot come to mean another process unnoticed. Owned by who asked for it. */
export interface Target extends Disposable {
  /** Of the container's first process, in the agent's (the host's) pid namespace. */
  readonly pid: Pid;
  /** Close-on-exec; closed by disposing of the target. */
  readonly pidfd: Fd;
  /** Without the scheme. */
  readonly containerId: string;
  readonly sandboxId?: string;
  readonly spec: RuntimeSpec;
}

export interface RuntimeSpec {
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] };
  readonly capabilities: CapabilitySets;
  readonly noNewPrivileges: boolean;
  /** None: unconfined. */
  readonly seccomp?: SeccompFilter;
  readonly rlimits: readonly ResourceLimit[];
  /** As the security module of the node calls it; the runtime may name one where the node has no such module. */
  readonly apparmorProfile?: string;
  readonly selinuxLabel?: string;
  readonly namespaces: readonly Namespace[];
  readonly hasUserNamespace: boolean;
  /** As the runtime wrote it: a path for cgroupfs, `slice:prefix:name` for systemd. Empty when the runtime does not say. */
  readonly cgroupsPath: string;
  /** `NAME=value`. */
  readonly env: readonly string[];
  readonly cwd: string;
}

export interface Namespace {
  /** pid, network, ipc, uts, mount, cgroup, user, time. */
  readonly type: string;
  readonly path?: string;
}

/** Names as `CAP_NET_BIND_SERVICE`. */
export interface CapabilitySets {
  readonly bounding: readonly string[];
  readonly effective: readonly string[];
  readonly permitted: readonly string[];
  readonly ambient: readonly string[];
  readonly inheritable: readonly string[];
}

export interface RuntimeInfo {
  /** 0: the runtime names none, because the container does not run or because it runs in a machine of its own. */
  readonly pid: number;
  readonly sandboxId?: string;
  /** containerd's shim, as `io.containerd.runc.v2`; CRI-O does not say. */
  readonly runtimeType?: string;
  /** The OCI runtime that the shim was told to run, where it was told one. */
  readonly runtimeBinary?: string;
  readonly spec: RuntimeSpec;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Parses `info["info"]` of a ContainerStatusResponse. containerd (1.6 to 2.x) and CRI-O share the fields used here. Missing
 * fields become their least powerful value (no capability), a missing user is root as in the OCI specification. No JSON object, or
 * none with a `runtimeSpec`, throws ContainerUnsupported: without the runtime's word nothing about the container is certain.
 */
export function parseRuntimeInfo(text: string | undefined): RuntimeInfo {
  const info = parseObject(text);
  if (!isObject(info['runtimeSpec'])) throw unsupported('is described by a runtime that does not give its runtimeSpec');
  const spec = info['runtimeSpec'];
  const user = object(object(spec['process'])['user']);
  if (!isId(user['uid'] ?? 0) || !isId(user['gid'] ?? 0)) throw unsupported('has a user that is not a number');
  const options = object(info['runtimeOptions']);
  const sandboxId = string(info['sandboxID']);
  const runtimeType = string(info['runtimeType']);
  const runtimeBinary = string(options['BinaryName']) ?? string(options['binary_name']);
  return {
    pid: isId(info['pid']) ? info['pid'] : 0,
    ...(sandboxId ? { sandboxId } : {}),
    ...(runtimeType ? { runtimeType } : {}),
    ...(runtimeBinary ? { runtimeBinary } : {}),
    spec: parseSpec(spec),
  };
}

function parseSpec(spec: Json): RuntimeSpec {
  const process = object(spec['process']);
  const user = object(process['user']);
  const linux = object(spec['linux']);
  const seccomp = parseSeccomp(linux['seccomp']);
  const apparmorProfile = string(process['apparmorProfile']);
  const selinuxLabel = string(process['selinuxLabel']);
  const namespaces = array(linux['namespaces']).map(parseNamespace);
  return {
    user: {
      uid: idOrZero(user['uid']),
      gid: idOrZero(user['gid']),
      additionalGids: array(user['additionalGids']).filter(isId),
    },
    capabilities: parseCapabilities(object(process['capabilities'])),
    noNewPrivileges: process['noNewPrivileges'] === true,
    ...(seccomp ? { seccomp } : {}),
    rlimits: array(process['rlimits']).flatMap(parseLimit),
    ...(apparmorProfile ? { apparmorProfile } : {}),
    ...(selinuxLabel ? { selinuxLabel } : {}),
    namespaces,
    hasUserNamespace: namespaces.some(({ type }) => type === 'user'),
    cgroupsPath: string(linux['cgroupsPath']) ?? '',
    env: strings(process['env']),
    cwd: string(process['cwd']) ?? '/',
  };
}

function parseLimit(value: unknown): readonly ResourceLimit[] {
  const { type, soft, hard } = object(value);
  const resource = resourceNumber(String(type));
  return resource === undefined ? [] : [{ resource, soft: limit(soft), hard: limit(hard) }];
}

/** What JSON cannot say exactly is "no limit" (2^64 - 1). */
const limit = (value: unknown): bigint =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : unlimited;

function parseNamespace(value: unknown): Namespace {
  const path = string(object(value)['path']);
  return { type: string(object(value)['type']) ?? '', ...(path ? { path } : {}) };
}

function parseCapabilities(sets: Json): CapabilitySets {
  return {
    bounding: strings(sets['bounding']),
    effective: strings(sets['effective']),
    permitted: strings(sets['permitted']),
    ambient: strings(sets['ambient']),
    inheritable: strings(sets['inheritable']),
  };
}

function parseObject(text: string | undefined): Json {
  if (text === undefined) throw unsupported('is described by a runtime that gives no verbose status');
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch (cause) {
    throw unsupported('is described by the runtime in something that is not JSON', cause);
  }
  throw unsupported('is described by the runtime in JSON that is not an object');
}

const unsupported = (why: string, cause?: unknown): CrashcartError =>
  new CrashcartError(
    reasons.ContainerUnsupported,
    `The container ${why}: Crashcart works with containerd and CRI-O and containers run by runc, crun or youki.`,
    cause === undefined ? {} : { cause },
  );

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const object = (value: unknown): Json => (isObject(value) ? value : {});
const array = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const string = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
const strings = (value: unknown): readonly string[] => array(value).filter((item) => typeof item === 'string');
const isId = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 32;
const idOrZero = (value: unknown): number => (isId(value) ? value : 0);
