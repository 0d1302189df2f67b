import { usage } from './command-line.ts';

/** The kinds that lead to pods by a label selector, and where they are served. */
export const workloadKinds = {
  deployments: { api: '/apis/apps/v1', singular: 'deployment', spellings: ['deploy', 'deployment', 'deployments'] },
  statefulsets: { api: '/apis/apps/v1', singular: 'statefulset', spellings: ['sts', 'statefulset', 'statefulsets'] },
  daemonsets: { api: '/apis/apps/v1', singular: 'daemonset', spellings: ['ds', 'daemonset', 'daemonsets'] },
  replicasets: { api: '/apis/apps/v1', singular: 'replicaset', spellings: ['rs', 'replicaset', 'replicasets'] },
  jobs: { api: '/apis/batch/v1', singular: 'job', spellings: ['job', 'jobs'] },
  services: { api: '/api/v1', singular: 'service', spellings: ['svc', 'service', 'services'] },
} as const;
export type WorkloadKind = keyof typeof workloadKinds;

export type Target =
  | { readonly type: 'pod'; readonly name: string }
  | { readonly type: 'workload'; readonly kind: WorkloadKind; readonly name: string };

const podSpellings = ['po', 'pod', 'pods'];
const namePattern = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/** `NAME`, `pod/NAME`, `deploy/NAME` … @throws CrashcartError Invalid */
export function parseTarget(text: string): Target {
  const [kind, name, ...more] = text.includes('/') ? text.split('/') : ['pod', text];
  if (kind === undefined || name === undefined || more.length > 0 || !namePattern.test(name)) {
    throw usage(`"${text}" names no pod: write NAME, pod/NAME or deploy/NAME, and see "kubectl get pods"`);
  }
  // `deployment.apps/web` is what `kubectl get -o name` prints.
  const spelled = kind.toLowerCase().split('.')[0] ?? '';
  if (podSpellings.includes(spelled)) return { type: 'pod', name };
  const found = kindsOf().find((each) => (workloadKinds[each].spellings as readonly string[]).includes(spelled));
  if (found) return { type: 'workload', kind: found, name };
  const known = kindsOf().map((each) => workloadKinds[each].spellings[0]);
  throw usage(`"${kind}" is not a kind that leads to pods: use pod, ${known.join(', ')}`);
}

const kindsOf = (): readonly WorkloadKind[] => Object.keys(workloadKinds) as WorkloadKind[];
