import { expect, test, vi } from 'vitest';
import { callNumber, type Kernel } from '../../linux/kernel.ts';
import type { ContainerState, ContainerStatusResponse } from '../cri/cri.ts';
import { findTarget } from './find-target.ts';

interface Answer {
  readonly state?: ContainerState;
  readonly podUid?: string;
  readonly info?: object;
}

const answer = ({
  state = 'CONTAINER_RUNNING',
  podUid = 'pod-1',
  info = {},
}: Answer = {}): ContainerStatusResponse => ({
  status: {
    id: 'abc',
    metadata: { name: 'web' },
    state,
    exitCode: 3,
    reason: 'Error',
    labels: { 'io.kubernetes.pod.uid': podUid },
  },
  info: { info: JSON.stringify({ pid: 500, runtimeType: 'io.containerd.runc.v2', runtimeSpec: {}, ...info }) },
});

/** Gives the answers one after another, the last one again and again, and counts open descriptors. */
function setUp(answers: readonly (ContainerStatusResponse | undefined)[], { noProcess = false, exited = false } = {}) {
  const open = new Set<number>();
  const kernel: Kernel = {
    address: () => 0n,
    syscall: (number, first) => {
      if (number === callNumber('close')) open.delete(Number(first));
      if (number === callNumber('ppoll')) return exited ? 1 : 0;
      if (number !== callNumber('pidfd_open')) return 0;
      if (noProcess) return -3;
      open.add(77);
      return 77;
    },
  };
  const containerStatus = vi.fn(async () => answers[Math.min(containerStatus.mock.calls.length, answers.length) - 1]);
  const find = (id = 'containerd://abc') =>
    findTarget(
      { pod: { name: 'web-0', uid: 'pod-1' }, container: { name: 'web', id } },
      { cri: { containerStatus }, kernel },
    );
  return { find, open, containerStatus };
}

test('a target is asked for twice, pinned in between, and lets go of its descriptor when disposed of', async () => {
  const { find, open, containerStatus } = setUp([answer()]);
  const target = await find();
  expect(target).toMatchObject({ pid: 500, pidfd: 77, containerId: 'abc' });
  expect(containerStatus.mock.calls).toEqual([['abc'], ['abc']]);
  expect([...open]).toEqual([77]);
  target[Symbol.dispose]();
  expect([...open]).toEqual([]);
});

test.each([
  ['has another pid at the second look', [answer(), answer({ info: { pid: 501 } })], {}, 'ContainerNotRunning'],
  ['has ended at the second look', [answer(), answer({ state: 'CONTAINER_EXITED' })], {}, 'ContainerNotRunning'],
  ['belongs to another pod at the second look', [answer(), answer({ podUid: 'pod-2' })], {}, 'PodReplaced'],
  ['is gone at the second look', [answer(), undefined], {}, 'ContainerNotRunning'],
  ['has a process that ended meanwhile', [answer()], { exited: true }, 'ContainerNotRunning'],
  ['has a pid that nobody has', [answer()], { noProcess: true }, 'ContainerNotRunning'],
  ['has not started', [answer({ state: 'CONTAINER_CREATED' })], {}, 'ContainerNotRunning'],
  ['has no label of a pod', [answer({ podUid: '' })], {}, 'PodReplaced'],
  ['has no process on this node', [answer({ info: { pid: 0 } })], {}, 'ContainerUnsupported'],
  ['would be the node itself', [answer({ info: { pid: 1 } })], {}, 'ContainerUnsupported'],
  ['is run by Kata', [answer({ info: { runtimeType: 'io.containerd.kata.v2' } })], {}, 'ContainerUnsupported'],
  ['is run by gVisor', [answer({ info: { runtimeType: 'io.containerd.runsc.v1' } })], {}, 'ContainerUnsupported'],
  [
    'is run by gVisor in the shape of runc',
    [answer({ info: { runtimeOptions: { binary_name: '/usr/bin/runsc' } } })],
    {},
    'ContainerUnsupported',
  ],
])('a container that %s is refused and leaves no descriptor open', async (_title, answers, kernel, reason) => {
  const { find, open } = setUp(answers, kernel);
  await expect(find()).rejects.toMatchObject({ reason });
  expect([...open]).toEqual([]);
});

test.each([
  ['docker://abc', 'ContainerUnsupported'],
  ['abc', 'Invalid'],
  ['containerd://../../etc', 'Invalid'],
  ['containerd://', 'Invalid'],
])('%s is refused before the runtime is asked', async (id, reason) => {
  const { find, containerStatus } = setUp([answer()]);
  await expect(find(id)).rejects.toMatchObject({ reason });
  expect(containerStatus).not.toHaveBeenCalled();
});
