import { CrashcartError, reasons } from '../base/errors.ts';

/** What the controller reads of a pod. */
export interface Pod {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  /** Absent: not scheduled yet. */
  readonly nodeName?: string;
  /** Pending, Running, Succeeded, Failed, Unknown. */
  readonly phase: string;
  readonly defaultContainer?: string;
  /** Application containers first, then init containers, then ephemeral ones. */
  readonly containers: readonly Container[];
}

export interface Container {
  readonly name: string;
  readonly role: 'app' | 'init' | 'ephemeral';
  readonly state: ContainerState;
}

export type ContainerState =
  | { readonly is: 'running' /** With its scheme: `containerd://…`. */; readonly id: string }
  /** `why` is for a person: `it is waiting (ImagePullBackOff)`. */
  | { readonly is: 'other'; readonly why: string };

const defaultContainerAnnotation = 'kubectl.kubernetes.io/default-container';

/** Only what we use is looked at; the rest of a pod is the API server's to check. Throws CrashcartError `Internal` for what is no pod. */
export function parsePod(value: unknown): Pod {
  const pod = value as RawPod | null;
  const { metadata, spec, status } = pod ?? {};
  if (!metadata?.name || !metadata.namespace || !metadata.uid || !spec) {
    throw new CrashcartError(reasons.Internal, 'the API server gave a pod without a name, a uid or a spec');
  }
  const defaultContainer = metadata.annotations?.[defaultContainerAnnotation];
  return {
    name: metadata.name,
    namespace: metadata.namespace,
    uid: metadata.uid,
    phase: status?.phase ?? 'Unknown',
    ...(spec.nodeName ? { nodeName: spec.nodeName } : {}),
    ...(defaultContainer ? { defaultContainer } : {}),
    containers: [
      ...containersOf('app', spec.containers, status?.containerStatuses),
      ...containersOf('init', spec.initContainers, status?.initContainerStatuses),
      ...containersOf('ephemeral', spec.ephemeralContainers, status?.ephemeralContainerStatuses),
    ],
  };
}

interface RawStatus {
  readonly name: string;
  readonly containerID?: string;
  readonly state?: {
    readonly running?: object;
    readonly waiting?: { readonly reason?: string };
    readonly terminated?: { readonly reason?: string; readonly exitCode?: number };
  };
}
interface RawPod {
  readonly metadata?: {
    readonly name?: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: {
    readonly nodeName?: string;
    readonly containers?: readonly { readonly name: string }[];
    readonly initContainers?: readonly { readonly name: string }[];
    readonly ephemeralContainers?: readonly { readonly name: string }[];
  };
  readonly status?: {
    readonly phase?: string;
    readonly containerStatuses?: readonly RawStatus[];
    readonly initContainerStatuses?: readonly RawStatus[];
    readonly ephemeralContainerStatuses?: readonly RawStatus[];
  };
}

function containersOf(
  role: Container['role'],
  named: readonly { readonly name: string }[] = [],
  statuses: readonly RawStatus[] = [],
): Container[] {
  return named.map(({ name }) => ({ name, role, state: stateOf(statuses.find((status) => status.name === name)) }));
}

function stateOf(status: RawStatus | undefined): ContainerState {
  const { running, waiting, terminated } = status?.state ?? {};
  if (running && status?.containerID) return { is: 'running', id: status.containerID };
  if (terminated) {
    const code = terminated.exitCode === undefined ? '' : ` with code ${terminated.exitCode}`;
    return { is: 'other', why: `it has ended${code}${terminated.reason ? ` (${terminated.reason})` : ''}` };
  }
  if (waiting) return { is: 'other', why: `it is waiting${waiting.reason ? ` (${waiting.reason})` : ''}` };
  return { is: 'other', why: 'the kubelet has not started it yet' };
}
