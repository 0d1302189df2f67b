import { readFileSync } from 'node:fs';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { hasErrno } from '../../linux/errno.ts';
import { closeAll, type Fd, type Kernel, type Pid } from '../../linux/kernel.ts';
import { namespaceOf } from '../../linux/namespaces.ts';
import { openPidfd, pidfdHasExited } from '../../linux/pidfd.ts';
import type { ProcessTarget } from '../../node-agent/session/request.ts';
import { isSandboxed } from '../../node-agent/target/sandboxed.ts';
import { candidateOfPid, processes } from '../runtimes/process.ts';
import type { Candidate, Described, Runtime } from '../runtimes/runtime.ts';
import { type Found, listAll } from '../runtimes/runtimes.ts';
import { matchOne, parseReference, titleOf } from './match.ts';

/** A running container, pinned: while `pidfd` is open, `pid` cannot come to mean another process unnoticed. */
export interface NodeTarget extends ProcessTarget, Disposable {
  readonly candidate: Candidate;
  readonly runtime: Runtime;
  readonly pid: number;
  readonly pidfd: Fd;
  /** `mnt:[4026531841]` */
  readonly mountNamespace: string;
}

/**
 * From what a person typed to the container's first process, asked for again once it is pinned. The caller disposes of it.
 * Throws ContainerNotFound, ContainerAmbiguous, ContainerNotRunning, ContainerUnsupported, RuntimeUnavailable, Invalid.
 */
export async function findTarget(id: string, runtimes: readonly Runtime[], kernel: Kernel): Promise<NodeTarget> {
  const { candidate, runtime } = await findCandidate(id, runtimes);
  const first = await describe(candidate, runtime);
  const pidfd = pin(kernel, first.pid, candidate);
  try {
    const again = await describe(candidate, runtime);
    const mountNamespace = namespaceOf(first.pid, 'mnt');
    if (again.pid !== first.pid || pidfdHasExited(kernel, pidfd) || mountNamespace === undefined)
      throw ended(candidate);
    requireContainer(candidate, mountNamespace);
    requireOwnPids(candidate, first.pid);
    return {
      candidate,
      runtime,
      pid: first.pid,
      pidfd,
      mountNamespace,
      containerId: candidate.id,
      spec: again.spec,
      [Symbol.dispose]: () => closeAll(kernel, pidfd),
    };
  } catch (error) {
    closeAll(kernel, pidfd);
    throw error;
  }
}

async function findCandidate(id: string, runtimes: readonly Runtime[]): Promise<Found> {
  const reference = parseReference(id);
  const { found, failures } = await listAll(runtimes);
  const pids =
    /^[1-9]\d{0,9}$/.test(id) && runtimes.includes(processes)
      ? [candidateOfPid(id)].filter(({ running }) => running)
      : [];
  const all: readonly Found[] = [...found, ...pids.map((candidate) => ({ candidate, runtime: processes }))];
  try {
    const candidate = matchOne(
      reference,
      all.map((each) => each.candidate),
    );
    const one = all.find((each) => each.candidate === candidate);
    if (one === undefined) throw ended(candidate);
    return one;
  } catch (error) {
    const [failure] = failures;
    // It may well be the one that did not answer that knows it.
    if (failure && error instanceof CrashcartError && error.reason === reasons.ContainerNotFound) {
      throw new CrashcartError(reasons.RuntimeUnavailable, `${error.message} ${failure.message}`, { cause: failure });
    }
    throw error;
  }
}

async function describe(candidate: Candidate, runtime: Runtime): Promise<Described> {
  const described = await attempt(() => runtime.describe(candidate), candidate);
  if (described === undefined || described.pid === 0) throw ended(candidate);
  if (isSandboxed(described)) {
    throw new CrashcartError(
      reasons.ContainerUnsupported,
      `${titleOf(candidate)} is run by ${described.runtimeBinary ?? described.runtimeType}: crashcart enters containers that share this node's kernel (runc, crun, youki).`,
    );
  }
  return described;
}

/** /proc/PID vanishes under whoever reads it when the process ends. */
async function attempt<T>(body: () => Promise<T>, candidate: Candidate): Promise<T> {
  try {
    return await body();
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ESRCH')) throw ended(candidate);
    throw error;
  }
}

function pin(kernel: Kernel, pid: number, candidate: Candidate): Fd {
  try {
    return openPidfd(kernel, pid as Pid);
  } catch (error) {
    // EINVAL: a thread, whose number is no pid.
    if (hasErrno(error, 'ESRCH', 'EINVAL', 'ENOENT')) throw ended(candidate);
    throw error;
  }
}

function requireContainer(candidate: Candidate, mountNamespace: string): void {
  if (mountNamespace !== namespaceOf('self', 'mnt') && mountNamespace !== namespaceOf(1, 'mnt')) return;
  throw new CrashcartError(
    reasons.ContainerUnsupported,
    `${titleOf(candidate)} is in no container of this node: it has the node's own mount namespace.`,
  );
}

/**
 * Inside a container that was given a runtime's socket, the runtime's pids are other processes than ours. Those that name a container's
 * cgroup by its id show it.
 */
function requireOwnPids(candidate: Candidate, pid: number): void {
  const { runtime, id } = candidate;
  if (!['docker', 'cri'].includes(runtime) || !/^[0-9a-f]{64}$/.test(id)) return;
  if (readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(id)) return;
  throw new CrashcartError(
    reasons.ContainerUnsupported,
    `${titleOf(candidate)} is process ${pid} for its runtime and something else here: run crashcart on the node itself, or name the process by its pid.`,
  );
}

const ended = (candidate: Candidate): CrashcartError =>
  new CrashcartError(reasons.ContainerNotRunning, `${titleOf(candidate)} is not running any more.`);
