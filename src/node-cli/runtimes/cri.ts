import { type Container, connectCri } from '../../node-agent/cri/cri.ts';
import { parseRuntimeInfo } from '../../node-agent/target/runtime-spec.ts';
import { kubernetesPod } from './docker.ts';
import type { Candidate, Runtime } from './runtime.ts';

/** Kubernetes' interface to containerd and CRI-O: the pods of this node. */
export function openCri(socket: string): Runtime {
  const cri = connectCri(socket);
  return {
    name: 'cri',
    where: socket,
    version: async () => {
      const { runtimeName, runtimeVersion } = await cri.version();
      return `${runtimeName} ${runtimeVersion}`;
    },
    list: async () => (await cri.listContainers({ labelSelector: {} })).map(candidateOf),
    describe: async ({ id }) => {
      const answer = await cri.containerStatus(id);
      return answer && parseRuntimeInfo(answer.info['info']);
    },
    exec: ({ id }, { tty, stdin, command }) => [
      'crictl',
      '--runtime-endpoint',
      `unix://${socket}`,
      'exec',
      ...(stdin || tty ? ['--interactive'] : []),
      ...(tty ? ['--tty'] : []),
      id,
      ...command,
    ],
    [Symbol.dispose]: () => cri[Symbol.dispose](),
  };
}

export function candidateOf({ id, podSandboxId, metadata, state, labels }: Container): Candidate {
  const { pod } = kubernetesPod(labels);
  const container = pod?.container || metadata?.name || '';
  return {
    runtime: 'cri',
    id,
    names: container === '' ? [] : [container],
    ...(pod ? { pod: { ...pod, container, id: podSandboxId } } : {}),
    state: state.replace(/^CONTAINER_/, '').toLowerCase(),
    running: state === 'CONTAINER_RUNNING',
  };
}
