/** The part of CRI that makes pods and containers, as src/node-agent/cri/descriptor.ts is the part that reads them. */
const string = (id: number) => ({ type: 'string', id });
const map = (id: number) => ({ keyType: 'string', type: 'string', id });
const message = (type: string, id: number) => ({ type, id });
const repeated = (type: string, id: number) => ({ rule: 'repeated', type, id });
const method = (name: string) => ({ comment: '', requestType: `${name}Request`, responseType: `${name}Response` });
const byPod = { fields: { podSandboxId: string(1) } };
const nothing = { fields: {} };

const messages = {
  VersionRequest: nothing,
  VersionResponse: nothing,
  PodSandboxMetadata: {
    fields: { name: string(1), uid: string(2), namespace: string(3), attempt: message('uint32', 4) },
  },
  NamespaceOption: { fields: { network: message('int32', 1), pid: message('int32', 2), ipc: message('int32', 3) } },
  LinuxSandboxSecurityContext: { fields: { namespaceOptions: message('NamespaceOption', 1) } },
  LinuxPodSandboxConfig: {
    fields: { cgroupParent: string(1), securityContext: message('LinuxSandboxSecurityContext', 2) },
  },
  PodSandboxConfig: {
    fields: {
      metadata: message('PodSandboxMetadata', 1),
      logDirectory: string(3),
      labels: map(6),
      linux: message('LinuxPodSandboxConfig', 8),
    },
  },
  RunPodSandboxRequest: { fields: { config: message('PodSandboxConfig', 1) } },
  RunPodSandboxResponse: byPod,
  StopPodSandboxRequest: byPod,
  StopPodSandboxResponse: nothing,
  RemovePodSandboxRequest: byPod,
  RemovePodSandboxResponse: nothing,
  ContainerMetadata: { fields: { name: string(1), attempt: message('uint32', 2) } },
  ImageSpec: { fields: { image: string(1) } },
  LinuxContainerSecurityContext: {
    fields: {
      namespaceOptions: message('NamespaceOption', 3),
      readonlyRootfs: message('bool', 7),
      noNewPrivs: message('bool', 11),
    },
  },
  LinuxContainerConfig: { fields: { securityContext: message('LinuxContainerSecurityContext', 2) } },
  ContainerConfig: {
    fields: {
      metadata: message('ContainerMetadata', 1),
      image: message('ImageSpec', 2),
      command: repeated('string', 3),
      labels: map(9),
      logPath: string(11),
      linux: message('LinuxContainerConfig', 15),
    },
  },
  CreateContainerRequest: {
    fields: {
      podSandboxId: string(1),
      config: message('ContainerConfig', 2),
      sandboxConfig: message('PodSandboxConfig', 3),
    },
  },
  CreateContainerResponse: { fields: { containerId: string(1) } },
  StartContainerRequest: { fields: { containerId: string(1) } },
  StartContainerResponse: nothing,
  StopContainerRequest: { fields: { containerId: string(1), timeout: message('int64', 2) } },
  StopContainerResponse: nothing,
  RemoveContainerRequest: { fields: { containerId: string(1) } },
  RemoveContainerResponse: nothing,
};

const calls = Object.keys(messages)
  .filter((name) => name.endsWith('Request'))
  .map((name) => name.slice(0, -'Request'.length));

export const makingDescriptor = {
  nested: {
    runtime: {
      nested: {
        v1: {
          nested: {
            ...messages,
            RuntimeService: { methods: Object.fromEntries(calls.map((name) => [name, method(name)])) },
          },
        },
      },
    },
  },
};
