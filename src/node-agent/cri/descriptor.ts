import type { Descriptor } from './unary.ts';

/**
 * The part of Kubernetes' CRI (k8s.io/cri-api, runtime/v1/api.proto) that the agent speaks, in protobuf.js' JSON form: a
 * file to be read at run time would not survive bundling. Field numbers are those of the original; unknown fields are
 * skipped by every protobuf reader.
 */
const string = (id: number) => ({ type: 'string', id });
const map = (id: number) => ({ keyType: 'string', type: 'string', id });

const messages = {
  VersionRequest: { fields: { version: string(1) } },
  VersionResponse: {
    fields: { version: string(1), runtimeName: string(2), runtimeVersion: string(3), runtimeApiVersion: string(4) },
  },
  ContainerMetadata: { fields: { name: string(1), attempt: { type: 'uint32', id: 2 } } },
  ContainerState: {
    values: { CONTAINER_CREATED: 0, CONTAINER_RUNNING: 1, CONTAINER_EXITED: 2, CONTAINER_UNKNOWN: 3 },
  },
  ContainerStateValue: { fields: { state: { type: 'ContainerState', id: 1 } } },
  ContainerFilter: {
    fields: {
      id: string(1),
      state: { type: 'ContainerStateValue', id: 2 },
      podSandboxId: string(3),
      labelSelector: map(4),
    },
  },
  ListContainersRequest: { fields: { filter: { type: 'ContainerFilter', id: 1 } } },
  Container: {
    fields: {
      id: string(1),
      podSandboxId: string(2),
      metadata: { type: 'ContainerMetadata', id: 3 },
      state: { type: 'ContainerState', id: 6 },
      labels: map(8),
    },
  },
  ListContainersResponse: { fields: { containers: { rule: 'repeated', type: 'Container', id: 1 } } },
  ContainerStatusRequest: { fields: { containerId: string(1), verbose: { type: 'bool', id: 2 } } },
  ContainerStatus: {
    fields: {
      id: string(1),
      metadata: { type: 'ContainerMetadata', id: 2 },
      state: { type: 'ContainerState', id: 3 },
      exitCode: { type: 'int32', id: 7 },
      reason: string(10),
      message: string(11),
      labels: map(12),
    },
  },
  ContainerStatusResponse: { fields: { status: { type: 'ContainerStatus', id: 1 }, info: map(2) } },
};

/** `comment` is what the type of protobuf.js insists on. */
const method = (name: string) => ({ comment: '', requestType: `${name}Request`, responseType: `${name}Response` });

export const criDescriptor: Descriptor = {
  nested: {
    runtime: {
      nested: {
        v1: {
          nested: {
            ...messages,
            RuntimeService: {
              methods: {
                Version: method('Version'),
                ListContainers: method('ListContainers'),
                ContainerStatus: method('ContainerStatus'),
              },
            },
          },
        },
      },
    },
  },
};
