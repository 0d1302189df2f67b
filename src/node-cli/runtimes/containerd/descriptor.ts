import type { Descriptor } from '../../../node-agent/cri/unary.ts';

/**
 * The part of containerd's API (api/services/{namespaces,containers,tasks,version}/v1 and api/types/task) that lists containers, in
 * protobuf.js' JSON form. Field numbers are those of the original; unknown fields are skipped by every protobuf reader.
 */
const string = (id: number) => ({ type: 'string', id });
const map = (id: number) => ({ keyType: 'string', type: 'string', id });
const repeated = (type: string, id: number) => ({ rule: 'repeated', type, id });
const method = (requestType: string, responseType: string) => ({ comment: '', requestType, responseType });
const within = (nested: object) => ({ nested: { v1: { nested } } });

export const containerdDescriptor = {
  nested: {
    google: {
      nested: {
        protobuf: {
          nested: { Empty: { fields: {} }, Any: { fields: { type_url: string(1), value: { type: 'bytes', id: 2 } } } },
        },
      },
    },
    containerd: {
      nested: {
        v1: {
          nested: {
            types: {
              nested: {
                Status: { values: { UNKNOWN: 0, CREATED: 1, RUNNING: 2, STOPPED: 3, PAUSED: 4, PAUSING: 5 } },
                Process: {
                  fields: {
                    containerId: string(1),
                    id: string(2),
                    pid: { type: 'uint32', id: 3 },
                    status: { type: 'Status', id: 4 },
                  },
                },
              },
            },
          },
        },
        services: {
          nested: {
            namespaces: within({
              Namespace: { fields: { name: string(1) } },
              ListNamespacesRequest: { fields: { filter: string(1) } },
              ListNamespacesResponse: { fields: { namespaces: repeated('Namespace', 1) } },
              Namespaces: { methods: { List: method('ListNamespacesRequest', 'ListNamespacesResponse') } },
            }),
            containers: within({
              Runtime: { fields: { name: string(1) } },
              Container: {
                fields: {
                  id: string(1),
                  labels: map(2),
                  image: string(3),
                  runtime: { type: 'Runtime', id: 4 },
                  spec: { type: '.google.protobuf.Any', id: 5 },
                },
              },
              GetContainerRequest: { fields: { id: string(1) } },
              GetContainerResponse: { fields: { container: { type: 'Container', id: 1 } } },
              ListContainersRequest: { fields: { filters: repeated('string', 1) } },
              ListContainersResponse: { fields: { containers: repeated('Container', 1) } },
              Containers: {
                methods: {
                  Get: method('GetContainerRequest', 'GetContainerResponse'),
                  List: method('ListContainersRequest', 'ListContainersResponse'),
                },
              },
            }),
            tasks: within({
              ListTasksRequest: { fields: { filter: string(1) } },
              ListTasksResponse: { fields: { tasks: repeated('.containerd.v1.types.Process', 1) } },
              Tasks: { methods: { List: method('ListTasksRequest', 'ListTasksResponse') } },
            }),
            version: within({
              VersionResponse: { fields: { version: string(1) } },
              Version: { methods: { Version: method('.google.protobuf.Empty', 'VersionResponse') } },
            }),
          },
        },
      },
    },
  },
} as Descriptor;
