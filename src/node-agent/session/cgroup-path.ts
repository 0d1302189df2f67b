/**
 * Where the sessions on a container go, below the root of every cgroup hierarchy: beside `kubepods`, wherever this node has that. Below it
 * the kubelet would tidy our cgroups away, and below the container's its memory limit would count ours.
 *
 * `cgroupsPath` is the runtime's word: `/kubepods/…/ID` with cgroupfs, possibly under a parent of the node's own; `slice:cri-containerd:ID` with
 * systemd, where kubepods.slice stands at the top. Outside of Kubernetes: beside the container.
 */
export function sessionsCgroup(cgroupsPath: string): string {
  if (cgroupsPath.includes(':')) return '/crashcart.slice';
  const parts = cgroupsPath.split('/').filter((part) => part !== '' && part !== '.' && part !== '..');
  const kubepods = parts.findIndex((part) => /^kubepods(\.slice)?$/.test(part));
  const above = parts.slice(0, kubepods >= 0 ? kubepods : -1);
  const name = parts[kubepods]?.endsWith('.slice') ? 'crashcart.slice' : 'crashcart';
  return `/${[...above, name].join('/')}`;
}
