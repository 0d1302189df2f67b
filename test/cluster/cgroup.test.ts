import { expect, test } from 'vitest';
import { hierarchies } from './cgroup.ts';

test('every hierarchy of a hybrid machine is found once, and nothing else', () => {
  const mounts = [
    'tmpfs /sys/fs/cgroup tmpfs rw 0 0',
    'cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0',
    'cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0',
    'cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0',
    'cgroup2 /run/elsewhere cgroup2 rw 0 0',
    'proc /proc proc rw 0 0',
  ].join('\n');
  expect(hierarchies(mounts)).toEqual(['/sys/fs/cgroup/cpu,cpuacct', '/sys/fs/cgroup/unified']);
});

test('a pure cgroup v2 machine has one hierarchy', () => {
  expect(hierarchies('cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n')).toEqual(['/sys/fs/cgroup']);
});
