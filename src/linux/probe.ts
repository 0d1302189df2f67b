import { readFileSync } from 'node:fs';
import { type CallName, callNumber, closeAll, type Fd, type Kernel } from './kernel.ts';

/** What this kernel can do, found by calls that change nothing (never by its version: distributions carry features back). */
export interface KernelFeatures {
  readonly pidfd: boolean;
  readonly openat2: boolean;
  /** fsopen, open_tree, move_mount. */
  readonly mountApi: boolean;
  /** mount_setattr: owners mapped for containers in user namespaces. */
  readonly idmappedMounts: boolean;
  readonly closeRange: boolean;
  readonly bpf: boolean;
  readonly erofs: boolean;
  readonly cgroupKill: boolean;
}

const enoSys = 38;

/** `cgroup`: any directory of the v2 hierarchy but its root, where there is one. */
export async function probeKernel(kernel: Kernel, cgroup?: string): Promise<KernelFeatures> {
  return {
    pidfd: knows(kernel, 'pidfd_open', -1, 0) && knows(kernel, 'pidfd_getfd', -1, -1, 0),
    openat2: knows(kernel, 'openat2', -1, '', null, 0),
    mountApi: knows(kernel, 'open_tree', -1, '', 0) && knows(kernel, 'move_mount', -1, '', -1, '', 0),
    idmappedMounts: knows(kernel, 'mount_setattr', -1, '', 0, null, 0),
    closeRange: knows(kernel, 'close_range', 1, 0, 0),
    bpf: knows(kernel, 'bpf', -1, null, 0),
    erofs: canOpen(kernel, 'erofs'),
    cgroupKill: cgroup !== undefined && isThere(`${cgroup}/cgroup.kill`),
  };
}

/** With arguments that cannot succeed: any error but "no such call" proves the call. */
function knows(kernel: Kernel, name: CallName, ...args: readonly (number | string | null)[]): boolean {
  const result = kernel.syscall(callNumber(name), ...args);
  if (result >= 0 && name !== 'close_range') closeAll(kernel, result as Fd);
  return result !== -enoSys;
}

function canOpen(kernel: Kernel, type: string): boolean {
  const context = kernel.syscall(callNumber('fsopen'), type, 1);
  if (context < 0) return false;
  closeAll(kernel, context as Fd);
  return true;
}

function isThere(file: string): boolean {
  try {
    readFileSync(file, { flag: 'r' });
    return true;
  } catch (error) {
    // cgroup.kill can only be written: "invalid argument" is the answer of one that is there.
    return error instanceof Error && 'code' in error && error.code !== 'ENOENT';
  }
}
