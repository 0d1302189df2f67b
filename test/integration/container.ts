/** Real containers for the integration tests: runc, a root directory with one static program, and what kubelets ask for in Kubernetes. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from '../../src/base/errors.ts';
import type { Fd, Kernel, Pid } from '../../src/linux/kernel.ts';
import { closeAll } from '../../src/linux/kernel.ts';
import { openPidfd, signalPidfd, waitPidfd } from '../../src/linux/pidfd.ts';
import type { ProcessTarget } from '../../src/node-agent/session/request.ts';
import { cgroupDirectories, testCgroup } from './cgroups.ts';
import { runcBinary } from './runc.ts';

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
  /** `none`: taken away after the start, root directory and all. */
  readonly dev?: 'normal' | 'readonly' | 'none';
  readonly hostPid?: boolean;
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  readonly cwd?: string;
  /** Prepares the container's root directory. */
  readonly prepare?: (rootfs: string) => void;
}

export interface Container extends AsyncDisposable {
  readonly target: ProcessTarget;
  readonly rootfs: string;
  /** As the container itself could with CAP_SYS_ADMIN; the directory is made. */
  mountTmpfs(directory: string): void;
  mountinfo(): string;
  kill(): Promise<void>;
}

export const defaultCapabilities = [
  'CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP',
  'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE',
].map((name) => `CAP_${name}`); // biome-ignore format: a table

/** Where ids of a user namespace start on the host. */
export const firstMappedId = 100_000;

export async function startContainer(kernel: Kernel, options: ContainerOptions = {}): Promise<Container> {
  const id = `crashcart-it-${randomBytes(4).toString('hex')}`;
  const bundle = mkdtempSync(join(tmpdir(), 'crashcart-it-'));
  execFileSync('chmod', ['755', bundle]);
  const rootfs = join(bundle, 'rootfs');
  makeRootfs(rootfs, options);
  const spec = ociSpec(id, options);
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(spec));
  const log = join(bundle, 'log');
  // No pipe: the container would inherit it, and the reader would wait for the container's end.
  const runc = (...args: readonly string[]): void =>
    void execFileSync(runcBinary(), ['--root', join(bundle, 'state'), '--log', log, ...args], {
      stdio: 'ignore',
      timeout: 30_000,
    });
  runDetached(runc, bundle, id);
  const pid = Number(readFileSync(join(bundle, 'pid'), 'utf8')) as Pid;
  const pidfd = openPidfd(kernel, pid);
  if (options.dev === 'none') rmSync(join(rootfs, 'dev'), { recursive: true, force: true });
  const kill = async (): Promise<void> => {
    if (signalPidfd(kernel, pidfd, 'SIGKILL')) await waitPidfd(kernel, pidfd);
  };
  return {
    target: { pid, pidfd, containerId: id, spec: targetSpec(spec) },
    rootfs,
    mountTmpfs: (directory) => {
      mkdirSync(`/proc/${pid}/root${directory}`);
      execFileSync('mount', ['-N', `${pid}`, '-t', 'tmpfs', 'tmpfs', directory], { timeout: 10_000 });
    },
    mountinfo: () => readFileSync(`/proc/${pid}/mountinfo`, 'utf8'),
    kill,
    [Symbol.asyncDispose]: async () => {
      await kill();
      closeAll(kernel, pidfd as Fd);
      runc('delete', '--force', id);
      removeCgroups();
      rmSync(bundle, { recursive: true, force: true });
    },
  };
}

function runDetached(runc: (...args: readonly string[]) => void, bundle: string, id: string): void {
  try {
    runc('run', '--detach', '--bundle', bundle, '--pid-file', join(bundle, 'pid'), id);
  } catch (error) {
    const log = join(bundle, 'log');
    const words = existsSync(log) ? readFileSync(log, 'utf8') : describe(error);
    rmSync(bundle, { recursive: true, force: true });
    throw new Error(`runc could not start the container: ${words}`, { cause: error });
  }
}

/** Those above the container's, when nobody else is in them. */
function removeCgroups(): void {
  for (const directory of cgroupDirectories(testCgroup)) {
    for (const below of [join(directory, 'kubepods'), join(directory, 'crashcart'), directory]) {
      try {
        if (existsSync(below) && readdirSync(below, { withFileTypes: true }).every((entry) => !entry.isDirectory()))
          rmdirSync(below);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EBUSY')) throw error;
      }
    }
  }
}

function makeRootfs(rootfs: string, { prepare, userNamespace }: ContainerOptions): void {
  for (const directory of ['dev', 'proc', 'sys', 'tmp', 'etc', 'home/app'])
    mkdirSync(join(rootfs, directory), { recursive: true });
  execFileSync('cp', [workload(), join(rootfs, 'workload')]);
  execFileSync('chmod', ['1777', join(rootfs, 'tmp')]);
  writeFileSync(join(rootfs, 'etc/passwd'), 'root:x:0:0:root:/:/none\napp:x:65532:65532:app:/home/app:/none\n');
  prepare?.(rootfs);
  if (userNamespace) execFileSync('chown', ['-R', `${firstMappedId}:${firstMappedId}`, rootfs]);
}

/** Compiled once for a run of the tests. */
function workload(): string {
  const directory = join(import.meta.dirname, '../../build/test');
  const binary = join(directory, 'workload');
  mkdirSync(directory, { recursive: true });
  execFileSync('cc', ['-static', '-O2', '-o', `${binary}.${process.pid}`, join(import.meta.dirname, 'workload.c')]);
  execFileSync('mv', [`${binary}.${process.pid}`, binary]);
  return binary;
}

type OciSpec = ReturnType<typeof ociSpec>;

function ociSpec(id: string, options: ContainerOptions) {
  const { uid = 0, gid = 0, groups = [], capabilities = defaultCapabilities, ambient = [], cwd = '/' } = options;
  const mapping = [{ containerID: 0, hostID: firstMappedId, size: 65_536 }];
  const types = [
    'ipc',
    'uts',
    'mount',
    'network',
    ...(options.hostPid ? [] : ['pid']),
    ...(options.userNamespace ? ['user'] : []),
  ];
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
    },
    root: { path: 'rootfs', readonly: options.readonlyRoot ?? false },
    hostname: 'crashcart-test',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      ...devMounts(options.dev ?? 'normal'),
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
    ],
    linux: {
      cgroupsPath: `${testCgroup}/kubepods/${id}`,
      namespaces: types.map((type) => ({ type })),
      ...(options.userNamespace ? { uidMappings: mapping, gidMappings: mapping } : {}),
      resources: { devices: [{ allow: false, access: 'rwm' }] },
    },
  };
}

function devMounts(dev: 'normal' | 'readonly' | 'none') {
  if (dev === 'none') return [];
  const options = ['nosuid', 'strictatime', 'mode=755', 'size=65536k', ...(dev === 'readonly' ? ['ro'] : [])];
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

const targetSpec = ({ process, linux }: OciSpec): ProcessTarget['spec'] => ({
  user: process.user,
  capabilities: process.capabilities,
  noNewPrivileges: process.noNewPrivileges,
  cgroupsPath: linux.cgroupsPath,
  env: process.env,
  cwd: process.cwd,
});
