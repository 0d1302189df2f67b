import { CrashcartError, reasons } from '../../base/errors.ts';
import { hasErrno } from '../../linux/errno.ts';
import { closeAll, type Fd, type Kernel, type Pid } from '../../linux/kernel.ts';
import { openPidfd, pidfdHasExited } from '../../linux/pidfd.ts';
import type { ContainerStatus, Cri } from '../cri/cri.ts';
import { parseContainerId } from './container-id.ts';
import { parseRuntimeInfo, type RuntimeInfo, type Target } from './runtime-spec.ts';
import { isSandboxed } from './sandboxed.ts';

export interface TargetRequest {
  readonly pod: { readonly name: string; readonly uid: string };
  /** `id` with its scheme. */
  readonly container: { readonly name: string; readonly id: string };
}

export interface TargetDeps {
  readonly cri: Pick<Cri, 'containerStatus'>;
  readonly kernel: Kernel;
}

interface Described {
  readonly status: ContainerStatus;
  readonly info: RuntimeInfo;
}

/** The label that the kubelet gives every container of a pod. */
const podUidLabel = 'io.kubernetes.pod.uid';

/**
 * The container's first process, pinned by a pidfd and checked again once it is pinned (threat T13: between two answers of the
 * runtime a pid can have become another process). The caller disposes of the target.
 *
 * Throws a CrashcartError: Invalid, PodReplaced, ContainerNotRunning, ContainerUnsupported, RuntimeUnavailable.
 */
export async function findTarget(request: TargetRequest, { cri, kernel }: TargetDeps): Promise<Target> {
  const { id } = parseContainerId(request.container.id);
  const first = await describe(cri, id, request);
  const pidfd = open(kernel, first.info.pid as Pid, request);
  try {
    const again = await describe(cri, id, request);
    if (again.info.pid !== first.info.pid || pidfdHasExited(kernel, pidfd)) {
      throw notRunning(request, 'ended while the session was prepared');
    }
    const { sandboxId, spec } = again.info;
    return {
      pid: first.info.pid as Pid,
      pidfd,
      containerId: id,
      ...(sandboxId ? { sandboxId } : {}),
      spec,
      [Symbol.dispose]: () => closeAll(kernel, pidfd),
    };
  } catch (error) {
    closeAll(kernel, pidfd);
    throw error;
  }
}

async function describe(cri: TargetDeps['cri'], id: string, request: TargetRequest): Promise<Described> {
  const answer = await cri.containerStatus(id);
  const status = answer?.status;
  if (!answer || !status || status.id !== id)
    throw notRunning(request, 'is no longer known to the runtime of its node');
  checkPod(status, request);
  checkState(status, request);
  const info = parseRuntimeInfo(answer.info['info']);
  checkRuntime(info, request);
  return { status, info };
}

function checkPod(status: ContainerStatus, { pod, container }: TargetRequest): void {
  if (status.labels[podUidLabel] === pod.uid) return;
  throw new CrashcartError(
    reasons.PodReplaced,
    `The container ${container.name} that was asked for belongs to another pod than ${pod.name} with the uid ${pod.uid}: start the session again.`,
  );
}

function checkState(status: ContainerStatus, request: TargetRequest): void {
  switch (status.state) {
    case 'CONTAINER_RUNNING':
      return;
    case 'CONTAINER_EXITED':
      throw notRunning(
        request,
        `has ended with exit code ${status.exitCode}${status.reason ? ` (${status.reason})` : ''}`,
      );
    case 'CONTAINER_CREATED':
      throw notRunning(request, 'was created and has not started yet');
    default:
      throw notRunning(request, 'is in a state that its runtime does not know');
  }
}

const notRunning = ({ pod, container }: TargetRequest, what: string): CrashcartError =>
  new CrashcartError(
    reasons.ContainerNotRunning,
    `The container ${container.name} of the pod ${pod.name} ${what}: start the session again when it runs.`,
  );

function checkRuntime(info: RuntimeInfo, { container }: TargetRequest): void {
  const sandboxed = isSandboxed(info);
  if (!sandboxed && info.pid > 1) return;
  const which = sandboxed
    ? `is run by ${info.runtimeBinary ?? info.runtimeType}`
    : 'has no process that its runtime would name';
  throw new CrashcartError(
    reasons.ContainerUnsupported,
    `The container ${container.name} ${which}: Crashcart enters containers that share the node's kernel (runc, crun, youki); use kubectl debug for this one.`,
  );
}

function open(kernel: Kernel, pid: Pid, request: TargetRequest): Fd {
  try {
    return openPidfd(kernel, pid);
  } catch (error) {
    if (hasErrno(error, 'ESRCH', 'EINVAL')) throw notRunning(request, 'ended while the session was prepared');
    throw error;
  }
}
