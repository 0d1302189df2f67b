/** Real containers for the integration tests: runc, a root directory with one static program, and what kubelets ask for in Kubernetes. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostTools } from '../../builder/debian/host-tools.ts';
import { hostArchitecture, readLock } from '../../builder/debian/lock.ts';
import { describe } from '../../src/base/errors.ts';
import { capabilityNames } from '../../src/linux/capabilities.ts';
import type { Fd, Kernel, Pid } from '../../src/linux/kernel.ts';
import { closeAll } from '../../src/linux/kernel.ts';
import { openPidfd, signalPidfd, waitPidfd } from '../../src/linux/pidfd.ts';
import { parseProcessStatus } from '../../src/linux/proc.ts';
import type { ProcessTarget } from '../../src/node-agent/session/request.ts';
import { parseRuntimeInfo } from '../../src/node-agent/target/runtime-spec.ts';
import { compileStatic } from '../support/compile.ts';
import { cgroupDirectories, testCgroup } from './cgroups.ts';
import { type ContainerOptions, mappingsOf, ociSpec } from './oci-spec.ts';
import { runcBinary } from './runc.ts';

export { type ContainerOptions, defaultCapabilities, firstMappedId } from './oci-spec.ts';

export interface Container extends AsyncDisposable {
  readonly target: ProcessTarget;
  readonly rootfs: string;
  /** As the container itself could with CAP_SYS_ADMIN; the directory is made. */
  mountTmpfs(directory: string): void;
  mountinfo(): string;
  kill(): Promise<void>;
}

export async function startContainer(kernel: Kernel, options: ContainerOptions = {}): Promise<Container> {
  const id = `crashcart-it-${randomBytes(4).toString('hex')}`;
  const bundle = mkdtempSync(join(tmpdir(), 'crashcart-it-'));
  execFileSync('chmod', ['755', bundle]);
  const rootfs = join(bundle, 'rootfs');
  mkdirSync(rootfs);
  if (options.frozenRoot) execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', rootfs]);
  makeRootfs(rootfs, options);
  if (options.squashedRoot) await squash(rootfs);
  const { bounding } = parseProcessStatus(readFileSync('/proc/self/status', 'utf8')).capabilities;
  const spec = ociSpec(id, options, capabilityNames(bounding));
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
  // Not removed: its null device is open, and what is open and removed keeps a file system writable.
  if (options.dev === 'none') renameSync(join(rootfs, 'dev'), join(rootfs, 'devices'));
  if (options.dev === 'shared') inMounts(pid, '--make-rshared', '/dev');
  if (options.dev === 'covered') inMounts(pid, '-t', 'tmpfs', 'tmpfs', '/dev');
  if (options.frozenRoot) execFileSync('mount', ['-o', 'remount,ro', rootfs]);
  options.onceRunning?.(`/proc/${pid}/root`);
  const kill = async (): Promise<void> => {
    if (signalPidfd(kernel, pidfd, 'SIGKILL')) await waitPidfd(kernel, pidfd);
  };
  return {
    target: { pid, pidfd, containerId: id, spec: parseRuntimeInfo(JSON.stringify({ pid, runtimeSpec: spec })).spec },
    rootfs,
    mountTmpfs: (directory) => {
      mkdirSync(`/proc/${pid}/root${directory}`);
      inMounts(pid, '-t', 'tmpfs', 'tmpfs', directory);
    },
    mountinfo: () => readFileSync(`/proc/${pid}/mountinfo`, 'utf8'),
    kill,
    [Symbol.asyncDispose]: async () => {
      await kill();
      closeAll(kernel, pidfd as Fd);
      runc('delete', '--force', id);
      removeCgroups();
      if (options.frozenRoot || options.squashedRoot) execFileSync('umount', [rootfs]);
      rmSync(bundle, { recursive: true, force: true });
    },
  };
}

/** mount(8) in the container's mount namespace. */
const inMounts = (pid: number, ...args: readonly string[]): void =>
  void execFileSync('mount', ['-N', `${pid}`, ...args], { timeout: 10_000 });

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

/** By the toolbox builder's own mksquashfs: the machine needs none. */
async function squash(rootfs: string): Promise<void> {
  const tool = await hostTools(readLock(hostArchitecture()), process.env);
  const image = `${rootfs}.squashfs`;
  await tool('usr/bin/mksquashfs', [rootfs, image, '-noappend', '-quiet', '-no-progress']);
  execFileSync('mount', ['-t', 'squashfs', '-o', 'loop,ro', image, rootfs]);
}

function makeRootfs(rootfs: string, options: ContainerOptions): void {
  for (const directory of ['dev', 'proc', 'sys', 'tmp', 'etc', 'home/app'])
    mkdirSync(join(rootfs, directory), { recursive: true });
  execFileSync('cp', [compileStatic(join(import.meta.dirname, 'workload.c')), join(rootfs, 'workload')]);
  execFileSync('chmod', ['1777', join(rootfs, 'tmp')]);
  writeFileSync(join(rootfs, 'etc/passwd'), 'root:x:0:0:root:/:/none\napp:x:65532:65532:app:/home/app:/none\n');
  options.prepare?.(rootfs);
  const [first] = mappingsOf(options);
  if (first) execFileSync('chown', ['-R', `${first.hostID}:${first.hostID}`, rootfs]);
}
