/** The node's container runtime, as far as the agent asks it anything: three reading calls. */
import { CrashcartError, reasons } from '../../base/errors.ts';
import { criDescriptor } from './descriptor.ts';
import { GrpcError, grpcCodes, openUnaryClient } from './unary.ts';

export type ContainerState = 'CONTAINER_CREATED' | 'CONTAINER_RUNNING' | 'CONTAINER_EXITED' | 'CONTAINER_UNKNOWN';

export interface Container {
  readonly id: string;
  readonly podSandboxId: string;
  readonly metadata: { readonly name: string } | null;
  readonly state: ContainerState;
  readonly labels: Readonly<Record<string, string>>;
}

export interface ContainerStatus {
  readonly id: string;
  readonly metadata: { readonly name: string } | null;
  readonly state: ContainerState;
  readonly exitCode: number;
  readonly reason: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface ContainerStatusResponse {
  readonly status: ContainerStatus | null;
  /** Only of a verbose call; `info` in it is the runtime's JSON. */
  readonly info: Readonly<Record<string, string>>;
}

export interface RuntimeVersion {
  readonly runtimeName: string;
  readonly runtimeVersion: string;
}

export interface Cri extends Disposable {
  version(): Promise<RuntimeVersion>;
  listContainers(filter: { readonly labelSelector: Readonly<Record<string, string>> }): Promise<readonly Container[]>;
  /** Undefined: the runtime knows no such container (any more). */
  containerStatus(containerId: string): Promise<ContainerStatusResponse | undefined>;
}

/** A status takes a millisecond; a node in trouble may need seconds, and then a person wants to hear so. */
const deadlineMs = 5_000;
/** The verbose status of a container with a large environment; the default of 4 MB is what the kubelet allows, too. */
const maxMessageBytes = 16 * 1024 * 1024;

/** Connects on the first call and again after every loss. All calls reject with RuntimeUnavailable when the runtime does not answer. */
export function connectCri(socketPath: string): Cri {
  const client = openUnaryClient({ socketPath, descriptor: criDescriptor, deadlineMs, maxMessageBytes });
  const call = <T>(name: string, request: object): Promise<T> =>
    client.call<T>('runtime.v1.RuntimeService', name, request);
  const wrap = (error: unknown): never => {
    throw unavailable(socketPath, error);
  };
  return {
    version: () => call<RuntimeVersion>('Version', {}).catch(wrap),
    listContainers: async (filter) => {
      const { containers } = await call<{ containers: Container[] }>('ListContainers', { filter }).catch(wrap);
      return containers;
    },
    containerStatus: (containerId) =>
      call<ContainerStatusResponse>('ContainerStatus', { containerId, verbose: true }).catch((error: unknown) =>
        error instanceof GrpcError && error.code === grpcCodes.notFound ? undefined : wrap(error),
      ),
    [Symbol.dispose]: () => client[Symbol.dispose](),
  };
}

function unavailable(socketPath: string, cause: unknown): CrashcartError {
  const why = cause instanceof GrpcError ? nextStep(cause.code) : 'look at the log of the node agent';
  return new CrashcartError(
    reasons.RuntimeUnavailable,
    `The node's container runtime did not answer at ${socketPath}: ${why}.`,
    { cause },
  );
}

function nextStep(code: number): string {
  switch (code) {
    case grpcCodes.unavailable:
      return 'is it running, and is the value `agent.criSocket` of the chart its socket';
    case grpcCodes.deadlineExceeded:
      return `it took over ${deadlineMs / 1000} s; look at the load of the node and try again`;
    case grpcCodes.unimplemented:
      return 'it does not speak CRI v1; Crashcart needs containerd 1.6 or CRI-O 1.24, or a later one';
    default:
      return 'look at its log on the node and try again';
  }
}
