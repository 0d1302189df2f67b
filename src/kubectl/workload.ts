import { CrashcartError, reasons } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { ApiClient } from './api-client.ts';
import { explain } from './api-refusal.ts';
import { type Target, workloadKinds } from './target.ts';

/** As much of a pod as the choice needs. */
export interface Pod {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
  readonly status?: {
    readonly phase?: string;
    readonly startTime?: string;
    readonly conditions?: ReadonlyArray<{ readonly type: string; readonly status: string }>;
    readonly containerStatuses?: ReadonlyArray<{
      readonly state?: { readonly waiting?: { readonly reason?: string } };
    }>;
  };
}

export interface Choice {
  readonly pod: string;
  readonly ready: boolean;
  /** How many could have been chosen. */
  readonly of: number;
}

type Workload = Extract<Target, { type: 'workload' }>;

/** A list of pods is asked for once: what does not fit into it is not needed to find one that is ready. */
const mostPods = 500;

export async function choosePod(api: ApiClient, namespace: string, workload: Workload): Promise<Choice> {
  const { api: root, singular } = workloadKinds[workload.kind];
  const space = `namespaces/${encodeURIComponent(namespace)}`;
  const selector = await api.send({ path: `${root}/${space}/${workload.kind}/${workload.name}` }).then(
    (object) => selectorOf(object, workload),
    (caught) => {
      throw explain(caught, { verb: 'get', resource: workload.kind, namespace, name: workload.name });
    },
  );
  const path = `/api/v1/${space}/pods`;
  const list = await api.send({ path, query: { labelSelector: selector, limit: mostPods } }).catch((caught) => {
    throw explain(caught, { verb: 'list', resource: 'pods', namespace });
  });
  return pickPod((list as { items?: readonly Pod[] }).items ?? [], `${singular}/${workload.name}`);
}

/**
 * The ready pod that started last: the newest version of the program. Where none is ready, a running one that is not: it is
 * the one to look into. @throws CrashcartError PodNotFound that says in which states the pods are.
 */
export function pickPod(pods: readonly Pod[], what: string): Choice {
  const running = pods.filter((pod) => pod.status?.phase === 'Running' && pod.metadata.deletionTimestamp === undefined);
  const ready = running.filter(isReady);
  const candidates = ready.length > 0 ? ready : running;
  const newest = candidates.toSorted(byStart).at(-1);
  if (newest) return { pod: newest.metadata.name, ready: ready.length > 0, of: candidates.length };
  const states = pods.length === 0 ? 'it has no pods' : `its pods are ${tally(pods.map(stateOf))}`;
  throw new CrashcartError(
    reasons.PodNotFound,
    `${what} has no running pod to enter, ${states}: see "kubectl get pods"`,
  );
}

const isReady = (pod: Pod): boolean =>
  pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;

/** RFC 3339 in UTC sorts as text; the name decides between equals, so that the choice can be repeated. */
function byStart(a: Pod, b: Pod): number {
  const [left, right] = [a, b].map((pod) => `${pod.status?.startTime ?? ''} ${pod.metadata.name}`);
  return (left ?? '') < (right ?? '') ? -1 : 1;
}

function stateOf(pod: Pod): string {
  if (pod.metadata.deletionTimestamp !== undefined) return 'Terminating';
  const waiting = pod.status?.containerStatuses?.find(({ state }) => state?.waiting?.reason)?.state?.waiting?.reason;
  return printable(waiting ?? pod.status?.phase ?? 'Unknown');
}

function tally(states: readonly string[]): string {
  const counts = Object.entries(Object.groupBy(states, (state) => state));
  return counts.map(([state, members]) => `${members?.length} ${state}`).join(', ');
}

interface Requirement {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[];
}

/** A `spec.selector`, either form, in the text form that a list takes. */
export function selectorOf(object: unknown, { kind, name }: Pick<Workload, 'kind' | 'name'>): string {
  const { spec } = object as { spec?: { selector?: Readonly<Record<string, unknown>> } };
  const selector = spec?.selector ?? {};
  const labels = kind === 'services' ? selector : (selector['matchLabels'] ?? {});
  const requirements = kind === 'services' ? [] : ((selector['matchExpressions'] ?? []) as readonly Requirement[]);
  const parts = [
    ...Object.entries(labels).map(([key, value]) => `${key}=${value}`),
    ...requirements.map(requirementText),
  ];
  if (parts.length > 0) return parts.join(',');
  throw new CrashcartError(
    reasons.PodNotFound,
    `${workloadKinds[kind].singular}/${name} selects no pods by labels: name a pod itself, see "kubectl get pods"`,
  );
}

function requirementText({ key, operator, values = [] }: Requirement): string {
  switch (operator) {
    case 'In':
      return `${key} in (${values.join(',')})`;
    case 'NotIn':
      return `${key} notin (${values.join(',')})`;
    case 'DoesNotExist':
      return `!${key}`;
    default:
      return key;
  }
}
