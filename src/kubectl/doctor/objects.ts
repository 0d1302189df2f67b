/** As much of the cluster's objects as is looked at. Everything may be missing. */

export interface List<T> {
  readonly items?: readonly T[];
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

export interface RightReview {
  readonly status?: { readonly allowed?: boolean };
}

export interface ApiService {
  readonly spec?: { readonly caBundle?: string; readonly service?: { readonly namespace?: string } };
  readonly status?: { readonly conditions?: readonly Condition[] };
}

/** What the API server serves of a group and version. */
export interface ResourceList {
  readonly resources?: readonly { readonly name: string }[];
}

export interface ConfigMap {
  readonly data?: Readonly<Record<string, string>>;
}

export interface Deployment {
  readonly spec?: {
    readonly replicas?: number;
    readonly template?: { readonly spec?: { readonly containers?: ReadonlyArray<{ readonly image?: string }> } };
  };
  readonly status?: { readonly readyReplicas?: number };
}

export interface DaemonSet {
  readonly spec?: {
    readonly template?: {
      readonly spec?: { readonly initContainers?: ReadonlyArray<{ readonly name: string; readonly image?: string }> };
    };
  };
  readonly status?: { readonly desiredNumberScheduled?: number; readonly numberReady?: number };
}

export interface ContainerStatus {
  readonly name: string;
  readonly ready?: boolean;
  readonly restartCount?: number;
  readonly state?: { readonly waiting?: { readonly reason?: string; readonly message?: string } };
}

export interface Pod {
  readonly metadata: { readonly name: string };
  readonly spec?: { readonly nodeName?: string };
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: readonly Condition[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
}

export interface Node {
  readonly metadata: { readonly name: string };
  readonly status?: {
    readonly conditions?: readonly Condition[];
    readonly nodeInfo?: {
      readonly kernelVersion?: string;
      readonly containerRuntimeVersion?: string;
      readonly operatingSystem?: string;
    };
  };
}

/** A ValidatingAdmissionPolicyBinding. */
export interface Policy {
  readonly spec?: { readonly validationActions?: readonly string[] };
}
