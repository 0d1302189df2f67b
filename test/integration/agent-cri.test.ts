import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadKernel } from '../../src/linux/kernel.ts';
import { pidfdHasExited } from '../../src/linux/pidfd.ts';
import { type Cri, connectCri } from '../../src/node-agent/cri/cri.ts';
import { findTarget } from '../../src/node-agent/target/find-target.ts';
import { type Containerd, startContainerd } from '../support/containerd/containerd.ts';

let containerd: Containerd;
let cri: Cri;
const kernel = loadKernel();

beforeAll(async () => {
  containerd = await startContainerd();
  cri = connectCri(containerd.socket);
});

afterAll(async () => {
  cri?.[Symbol.dispose]();
  await containerd?.[Symbol.asyncDispose]();
});

const find = (id: string, podUid: string) =>
  findTarget({ pod: { name: 'web-0', uid: podUid }, container: { name: 'main', id } }, { cri, kernel });

test('a runtime says what it is, and which containers a pod has', async () => {
  expect(await cri.version()).toMatchObject({ runtimeName: 'containerd' });
  const container = await containerd.runContainer({ uid: 'listed', image: 'busybox' });
  expect(await cri.listContainers({ labelSelector: { 'io.kubernetes.pod.uid': 'listed' } })).toMatchObject([
    { id: container.id.replace('containerd://', ''), podSandboxId: container.podSandboxId, state: 'CONTAINER_RUNNING' },
  ]);
});

test("a running container is found with its first process's pid and what it may do", async () => {
  const container = await containerd.runContainer({ uid: 'found', image: 'distroless' });
  using target = await find(container.id, 'found');
  expect(readFileSync(`/proc/${target.pid}/cmdline`, 'utf8')).toBe('/workload\0');
  expect(readFileSync(`/proc/${target.pid}/cgroup`, 'utf8')).toContain(target.spec.cgroupsPath);
  expect(target.spec).toMatchObject({
    user: { uid: 65_532, gid: 65_532 },
    hasUserNamespace: false,
    noNewPrivileges: true,
    cwd: '/',
  });
  expect(target.spec.capabilities.bounding).toContain('CAP_NET_BIND_SERVICE');
  expect(target.sandboxId).toBe(container.podSandboxId);
  expect(pidfdHasExited(kernel, target.pidfd)).toBe(false);
});

test('a container of another pod than the one asked for is refused', async () => {
  const container = await containerd.runContainer({ uid: 'new-pod', image: 'busybox' });
  await expect(find(container.id, 'old-pod')).rejects.toMatchObject({ reason: 'PodReplaced' });
});

test('the pidfd of a target tells the end of its container, which is then refused', async () => {
  const container = await containerd.runContainer({ uid: 'ending', image: 'busybox' });
  using target = await find(container.id, 'ending');
  await container.stop();
  expect(pidfdHasExited(kernel, target.pidfd)).toBe(true);
  await expect(find(container.id, 'ending')).rejects.toMatchObject({
    reason: 'ContainerNotRunning',
    message: expect.stringMatching(/has ended with exit code \d+/),
  });
  await container.remove();
  await expect(find(container.id, 'ending')).rejects.toMatchObject({
    reason: 'ContainerNotRunning',
    message: expect.stringContaining('no longer known'),
  });
});

test('a runtime that is not there is named, with what to look at', async () => {
  using nowhere = connectCri('/nowhere/containerd.sock');
  await expect(nowhere.version()).rejects.toMatchObject({
    reason: 'RuntimeUnavailable',
    message: expect.stringContaining('/nowhere/containerd.sock'),
  });
});
