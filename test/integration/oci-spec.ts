/** What a container of the integration tests is, as the OCI runtime specification has it and as the kubelet and containerd would write it. */
import { testCgroup } from './cgroups.ts';

export interface ContainerOptions {
  readonly uid?: number;
  readonly gid?: number;
  readonly groups?: readonly number[];
  /** Default: what containerd gives. */
  readonly capabilities?: readonly string[];
  readonly ambient?: readonly string[];
  readonly noNewPrivileges?: boolean;
  readonly readonlyRoot?: boolean;
  readonly userNamespace?: boolean;
  /** Default: one, of 65536 ids from `firstMappedId` on. */
  readonly mappings?: readonly IdMapping[];
  /** `none`: taken away after the start, root directory and all; `covered`: with a second tmpfs over it, empty but for null. */
  readonly dev?: 'normal' | 'readonly' | 'none' | 'covered' | 'shared';
  /** After the start the file system of the root directory itself becomes read-only, not just its mount. */
  readonly frozenRoot?: boolean;
  /** The root directory is a squashfs image. */
  readonly squashedRoot?: boolean;
  readonly hostPid?: boolean;
  readonly hostNetwork?: boolean;
  readonly hostIpc?: boolean;
  readonly cgroupNamespace?: boolean;
  /** Another process whose pid namespace it joins, as with shareProcessNamespace. */
  readonly sharePid?: number;
  /** `linux.seccomp`. */
  readonly seccomp?: object;
  readonly rlimits?: readonly { readonly type: string; readonly soft: number; readonly hard: number }[];
  /** Of its cgroup. */
  readonly pidsLimit?: number;
  readonly apparmorProfile?: string;
  /** As `securityContext.privileged`: every capability and the node's devices. */
  readonly privileged?: boolean;
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  readonly cwd?: string;
  /** Prepares the container's root directory. */
  readonly prepare?: (rootfs: string) => void;
  /** Once it runs; its root directory as the machine sees it, with the container's mounts. */
  readonly onceRunning?: (root: string) => void;
}

export interface IdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

export const defaultCapabilities = [
  'CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP',
  'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE',
].map((name) => `CAP_${name}`); // biome-ignore format: a table

/** Where ids of a user namespace start on the host. */
export const firstMappedId = 100_000;
const oneMapping: readonly IdMapping[] = [{ containerID: 0, hostID: firstMappedId, size: 65_536 }];

export const mappingsOf = ({ userNamespace, mappings }: ContainerOptions): readonly IdMapping[] =>
  userNamespace || mappings ? (mappings ?? oneMapping) : [];

export function ociSpec(id: string, options: ContainerOptions, allCapabilities: readonly string[]) {
  const { uid = 0, gid = 0, groups = [], ambient = [], cwd = '/' } = options;
  const capabilities = options.privileged ? allCapabilities : (options.capabilities ?? defaultCapabilities);
  const mappings = mappingsOf(options);
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid, gid, additionalGids: [...groups] },
      args: options.args ?? ['/workload'],
      env: options.env ?? ['PATH=/usr/bin:/bin', 'SECRET=of-the-container'],
      cwd,
      capabilities: {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
        ambient,
        inheritable: ambient,
      },
      noNewPrivileges: options.noNewPrivileges ?? false,
      ...(options.rlimits ? { rlimits: options.rlimits } : {}),
      ...(options.apparmorProfile ? { apparmorProfile: options.apparmorProfile } : {}),
    },
    root: { path: 'rootfs', readonly: options.readonlyRoot ?? false },
    ...(options.hostNetwork ? {} : { hostname: 'crashcart-test' }),
    mounts: mounts(options),
    linux: {
      cgroupsPath: `${testCgroup}/kubepods/${id}`,
      namespaces: namespaces(options),
      ...(mappings.length > 0 ? { uidMappings: mappings, gidMappings: mappings } : {}),
      ...(options.seccomp ? { seccomp: options.seccomp } : {}),
      ...(options.dev === 'shared' ? { rootfsPropagation: 'shared' } : {}),
      resources: {
        devices: [{ allow: options.privileged ?? false, access: 'rwm' }],
        ...(options.pidsLimit === undefined ? {} : { pids: { limit: options.pidsLimit } }),
      },
    },
  };
}

function namespaces(options: ContainerOptions): readonly { readonly type: string; readonly path?: string }[] {
  const own = (type: string, shared: boolean | undefined): { type: string }[] => (shared ? [] : [{ type }]);
  return [
    { type: 'mount' },
    ...own('uts', options.hostNetwork),
    ...own('ipc', options.hostIpc),
    ...own('network', options.hostNetwork),
    ...(options.sharePid === undefined
      ? own('pid', options.hostPid)
      : [{ type: 'pid', path: `/proc/${options.sharePid}/ns/pid` }]),
    ...own('cgroup', !options.cgroupNamespace),
    ...own('user', mappingsOf(options).length === 0),
  ];
}

function mounts({ dev = 'normal', privileged, hostNetwork, userNamespace }: ContainerOptions) {
  // A user namespace may mount a new sysfs only together with a network namespace of its own.
  const sysfs = hostNetwork && userNamespace ? [] : ['sysfs'];
  const access = privileged ? 'rw' : 'ro';
  return [
    { destination: '/proc', type: 'proc', source: 'proc' },
    ...(dev === 'none' ? [] : devMounts(dev === 'readonly')),
    ...sysfs.map((type) => ({
      destination: '/sys',
      type,
      source: type,
      options: ['nosuid', 'noexec', 'nodev', access],
    })),
  ];
}

function devMounts(readonly: boolean) {
  const options = ['nosuid', 'strictatime', 'mode=755', 'size=65536k', ...(readonly ? ['ro'] : [])];
  return [
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'],
    },
    {
      destination: '/dev/shm',
      type: 'tmpfs',
      source: 'shm',
      options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'],
    },
  ];
}
