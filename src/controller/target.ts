import type { PodTarget } from '../api/debug-session.ts';
import { type Reason, reasons } from '../base/errors.ts';
import type { Container, Pod } from './pod.ts';

export interface ResolvedTarget {
  readonly node: string;
  readonly podUid: string;
  readonly container: string;
  readonly containerId: string;
}

export interface Failure {
  readonly reason: Reason;
  /** One sentence: the cause and the next step. */
  readonly message: string;
}

export type Resolution =
  | { readonly ok: true; readonly target: ResolvedTarget }
  | { readonly ok: false; readonly failure: Failure };

const failed = (reason: Reason, message: string): Resolution => ({ ok: false, failure: { reason, message } });

/** Which container of which pod on which node, or why there is none. `pinnedUid` is the pod that the session was first resolved to. */
export function resolveTarget(
  namespace: string,
  wanted: PodTarget,
  pod: Pod | undefined,
  pinnedUid: string | undefined,
): Resolution {
  const where = `pod "${wanted.name}" in namespace "${namespace}"`;
  if (!pod) {
    return failed(
      reasons.PodNotFound,
      `there is no ${where}: see the pods that are there with "kubectl get pods -n ${namespace}"`,
    );
  }
  if (pinnedUid !== undefined && pinnedUid !== pod.uid) {
    return failed(
      reasons.PodReplaced,
      `${where} was replaced by a new one of the same name while the session was being prepared: create the session again to debug the new pod`,
    );
  }
  const refusal = podRefusal(where, namespace, pod);
  if (refusal) return refusal;
  const container = chooseContainer(where, wanted, pod);
  if ('failure' in container) return container;
  if (container.state.is !== 'running') {
    return failed(
      reasons.ContainerNotRunning,
      `container "${container.name}" of ${where} is not running, ${container.state.why}: a session needs a running container; see "kubectl describe pod ${pod.name} -n ${namespace}"`,
    );
  }
  return {
    ok: true,
    target: {
      node: pod.nodeName ?? '',
      podUid: pod.uid,
      container: container.name,
      containerId: container.state.id,
    },
  };
}

function podRefusal(where: string, namespace: string, { phase, nodeName, name }: Pod): Resolution | undefined {
  if (phase === 'Succeeded' || phase === 'Failed') {
    return failed(
      reasons.PodFinished,
      `${where} has finished (phase ${phase}), so nothing runs in it any more: see "kubectl logs ${name} -n ${namespace}", or choose a running pod`,
    );
  }
  if (nodeName === undefined) {
    return failed(
      reasons.PodNotScheduled,
      `${where} is not on a node yet: see why with "kubectl describe pod ${name} -n ${namespace}" and create the session again once it runs`,
    );
  }
  return undefined;
}

function chooseContainer(
  where: string,
  { container: wanted }: PodTarget,
  pod: Pod,
): Container | (Resolution & { ok: false }) {
  const find = (name: string | undefined): Container | undefined => pod.containers.find((each) => each.name === name);
  if (wanted !== undefined) {
    return (
      find(wanted) ?? {
        ok: false,
        failure: {
          reason: reasons.ContainerNotFound,
          message: `${where} has no container "${wanted}": it has ${listOf(pod.containers)}`,
        },
      }
    );
  }
  const apps = pod.containers.filter((each) => each.role === 'app');
  const chosen = find(pod.defaultContainer) ?? (apps.length === 1 ? apps[0] : undefined);
  return (
    chosen ?? {
      ok: false,
      failure: {
        reason: reasons.ContainerAmbiguous,
        message: `${where} has more than one container, name one of them: ${listOf(pod.containers)}`,
      },
    }
  );
}

function listOf(containers: readonly Container[]): string {
  return (
    containers.map(({ name, role }) => (role === 'app' ? `"${name}"` : `"${name}" (${role})`)).join(', ') || 'none'
  );
}
