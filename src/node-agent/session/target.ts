import { closeSync, openSync, readFileSync } from 'node:fs';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { allCapabilities, type CapabilityMask } from '../../linux/capabilities.ts';
import { hasErrno } from '../../linux/errno.ts';
import type { Fd, Kernel } from '../../linux/kernel.ts';
import { namespaceOf, namespacesToJoin, ownNamespace } from '../../linux/namespaces.ts';
import { pidfdHasExited } from '../../linux/pidfd.ts';
import { type IdRange, isEnding, parseIdMap, parseProcessStatus, toHostId } from '../../linux/proc.ts';
import { findSecurityModule, type SecurityModule } from '../../linux/security-module.ts';
import type { ProcessTarget } from './request.ts';

/** What the kernel says about the container, read while the pidfd proves whose /proc directory that is. */
export interface Surroundings extends Disposable {
  /** CLONE_NEW* flags to join, without the user namespace. */
  readonly namespaces: number;
  /** Open when the container has a user namespace of its own. */
  readonly userNamespace?: Fd;
  /** The host's id for an id of the container; throws Invalid for one that its user namespace lacks. */
  readonly hostUid: (id: number) => number;
  readonly hostGid: (id: number) => number;
  /** The capabilities that the agent can give in there. */
  readonly available: CapabilityMask;
  /** It has the agent's pid namespace, which is the node's. */
  readonly seesNode: boolean;
  readonly securityModule?: SecurityModule;
}

export function examineTarget(kernel: Kernel, target: ProcessTarget): Surroundings {
  const { pid } = target;
  const join = namespacesToJoin(pid);
  const userNamespace = join.user ? (openSync(`/proc/${pid}/ns/user`, 'r') as Fd) : undefined;
  const close = (): void => {
    if (userNamespace !== undefined) closeSync(userNamespace);
  };
  try {
    const maps = join.user ? [readMap(pid, 'uid_map'), readMap(pid, 'gid_map')] : [];
    const mount = namespaceOf(pid, 'mnt');
    // Read by number, so only true if the process was still the same one afterwards.
    if (pidfdHasExited(kernel, target.pidfd as Fd)) throw containerEnded();
    requireContainer(mount);
    const securityModule = findSecurityModule();
    return {
      ...(securityModule ? { securityModule } : {}),
      namespaces: join.flags,
      ...(userNamespace === undefined ? {} : { userNamespace }),
      hostUid: (id) => hostId(maps[0], id, 'user'),
      hostGid: (id) => hostId(maps[1], id, 'group'),
      seesNode: namespaceOf(pid, 'pid') === ownNamespace('pid'),
      available: join.user ? allCapabilities(lastCapability()) : ownCapabilities(),
      [Symbol.dispose]: close,
    };
  } catch (error) {
    close();
    if (error instanceof CrashcartError || !pidfdHasExited(kernel, target.pidfd as Fd)) throw error;
    throw containerEnded();
  }
}

export const containerEnded = (cause?: unknown): CrashcartError =>
  new CrashcartError(reasons.ContainerNotRunning, 'The container is not running any more: try again once it runs.', {
    cause,
  });

/** Or has begun to, when it takes its pid namespace with it and has no namespace to compare any more. */
export function hasEnded(kernel: Kernel, { pid, pidfd }: ProcessTarget): boolean {
  try {
    const ending = isEnding(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    return ending || pidfdHasExited(kernel, pidfd as Fd);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ESRCH')) return true;
    throw error;
  }
}

/** A process in the host's or the agent's own mount namespace is no container, but a virtual machine's monitor or a sandbox. */
function requireContainer(mountNamespace: string | undefined): void {
  const outside = [ownNamespace('mnt'), namespaceOf(1, 'mnt')];
  if (mountNamespace !== undefined && !outside.includes(mountNamespace)) return;
  throw new CrashcartError(
    reasons.ContainerUnsupported,
    'The container has no mount namespace of its own on this node, as with sandboxed runtimes (Kata, gVisor): it cannot be entered.',
  );
}

const readMap = (pid: number, name: string): readonly IdRange[] =>
  parseIdMap(readFileSync(`/proc/${pid}/${name}`, 'utf8'));

function hostId(map: readonly IdRange[] | undefined, id: number, what: string): number {
  const outside = map === undefined ? id : toHostId(map, id);
  if (outside !== undefined) return outside;
  throw new CrashcartError(
    reasons.Invalid,
    `The container's user namespace has no ${what} ${id}: take one that it maps.`,
  );
}

const lastCapability = (): number => Number(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8'));

let own: CapabilityMask | undefined;

/** This process never gives one up: read once. */
function ownCapabilities(): CapabilityMask {
  own ??= parseProcessStatus(readFileSync('/proc/self/status', 'utf8')).capabilities.permitted;
  return own;
}
