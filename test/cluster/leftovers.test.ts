import { expect, test } from 'vitest';
import { mountsBelow } from './leftovers.ts';

const mountinfo = [
  '22 1 254:0 / / rw shared:1 - ext4 /dev/vda rw',
  '90 22 0:50 / /repo/build/cluster/nodes/a rw - tmpfs tmpfs rw',
  '91 22 254:0 /repo/build/cluster/nodes/a/lib /var/lib/kubelet rw - ext4 /dev/vda rw',
  '92 22 0:51 / /repo/build/cluster-other rw - tmpfs tmpfs rw',
].join('\n');

test('a mount counts by its place and by the source of a bind mount, and another cluster does not', () => {
  expect(mountsBelow(mountinfo, '/repo/build/cluster')).toEqual(['/repo/build/cluster/nodes/a', '/var/lib/kubelet']);
});
