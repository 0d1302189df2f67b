import { expect, it } from 'vitest';
import { sessionsCgroup } from './cgroup-path.ts';

it.each([
  ['/kubepods/besteffort/pod1/abc', '/crashcart'],
  ['/cc-node1/kubepods/pod1/abc', '/cc-node1/crashcart'],
  ['kubepods-besteffort-pod1.slice:cri-containerd:abc', '/crashcart.slice'],
  ['/kubepods.slice/kubepods-pod1.slice/cri-containerd-abc.scope', '/crashcart.slice'],
  ['/docker/abc', '/docker/crashcart'],
  ['/../../kubepods/x', '/crashcart'],
  ['', '/crashcart'],
])('sessions on a container in %s lie in %s', (cgroupsPath, expected) => {
  expect(sessionsCgroup(cgroupsPath)).toBe(expected);
});
