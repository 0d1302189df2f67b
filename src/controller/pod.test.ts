import { expect, test } from 'vitest';
import { parsePod } from './pod.ts';

const pod = {
  metadata: { name: 'p', namespace: 'n', uid: 'u', annotations: { 'kubectl.kubernetes.io/default-container': 'b' } },
  spec: {
    nodeName: 'node',
    containers: ['a', 'b', 'c', 'd'].map((name) => ({ name })),
    initContainers: [{ name: 'i' }],
    ephemeralContainers: [{ name: 'e' }],
  },
  status: {
    phase: 'Running',
    containerStatuses: [
      { name: 'a', containerID: 'containerd://1', state: { running: {} } },
      { name: 'b', state: { waiting: { reason: 'ImagePullBackOff' } } },
      { name: 'c', containerID: 'containerd://3', state: { terminated: { exitCode: 137, reason: 'OOMKilled' } } },
    ],
    initContainerStatuses: [{ name: 'i', containerID: 'containerd://4', state: { running: {} } }],
  },
};

test('every container of a pod has a role and a state that can be told', () => {
  expect(parsePod(pod)).toEqual({
    name: 'p',
    namespace: 'n',
    uid: 'u',
    nodeName: 'node',
    phase: 'Running',
    defaultContainer: 'b',
    containers: [
      { name: 'a', role: 'app', state: { is: 'running', id: 'containerd://1' } },
      { name: 'b', role: 'app', state: { is: 'other', why: 'it is waiting (ImagePullBackOff)' } },
      { name: 'c', role: 'app', state: { is: 'other', why: 'it has ended with code 137 (OOMKilled)' } },
      { name: 'd', role: 'app', state: { is: 'other', why: 'the kubelet has not started it yet' } },
      { name: 'i', role: 'init', state: { is: 'running', id: 'containerd://4' } },
      { name: 'e', role: 'ephemeral', state: { is: 'other', why: 'the kubelet has not started it yet' } },
    ],
  });
});

test('what is no pod is refused', () => {
  expect(() => parsePod({ kind: 'Status' })).toThrow(/without a name/);
});
