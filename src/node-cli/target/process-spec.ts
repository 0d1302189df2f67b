import { readFileSync, readlinkSync } from 'node:fs';
import { capabilityNames } from '../../linux/capabilities.ts';
import { hasErrno } from '../../linux/errno.ts';
import { namespaceOf } from '../../linux/namespaces.ts';
import { type IdRange, parseIdMap, parseProcessStatus } from '../../linux/proc.ts';
import { parseLimits } from '../../linux/rlimits.ts';
import type { TargetSpec } from '../../node-agent/session/request.ts';

/** What a process is, in the terms of a container's specification: for runtimes that do not give theirs, and for bare pids. */
export function specOfProcess(pid: number): TargetSpec {
  const status = parseProcessStatus(read(pid, 'status'));
  const own = namespaceOf(pid, 'user') !== namespaceOf('self', 'user');
  const [uids, gids] = own ? [parseIdMap(read(pid, 'uid_map')), parseIdMap(read(pid, 'gid_map'))] : [];
  return {
    // What it acts as: effective ids.
    user: {
      uid: toInsideId(uids, status.uids[1] ?? 0),
      gid: toInsideId(gids, status.gids[1] ?? 0),
      additionalGids: status.groups.map((gid) => toInsideId(gids, gid)).filter((gid) => gid !== overflowId),
    },
    capabilities: {
      bounding: capabilityNames(status.capabilities.bounding),
      ambient: capabilityNames(status.capabilities.ambient),
    },
    noNewPrivileges: status.noNewPrivileges,
    rlimits: parseLimits(read(pid, 'limits')),
    ...labelOf(pid),
    cgroupsPath: '',
    env: read(pid, 'environ')
      .split('\0')
      .filter((entry) => entry.startsWith('PATH=')),
    cwd: workingDirectory(pid),
  };
}

/** What the kernel says where a namespace has no id for one of ours. */
const overflowId = 65_534;

/** Only a proposal, in the container's own terms: crashcart-enter changes to it as the session's user. */
function workingDirectory(pid: number): string {
  try {
    const path = readlinkSync(`/proc/${pid}/cwd`);
    return path.startsWith('/') && !path.endsWith(' (deleted)') ? path : '/';
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'EACCES')) return '/';
    throw error;
  }
}

const read = (pid: number, file: string): string => readFileSync(`/proc/${pid}/${file}`, 'utf8');

/** Of the security module that labels processes here: `docker-default (enforce)` is AppArmor's, `system_u:…` SELinux's. */
function labelOf(pid: number): Pick<TargetSpec, 'apparmorProfile' | 'selinuxLabel'> {
  let label = '';
  try {
    label = read(pid, 'attr/current').replace(/[\0\n]+$/, '');
  } catch (error) {
    if (!hasErrno(error, 'ENOENT', 'EINVAL')) throw error; // no such module
  }
  if (label === '' || label === 'unconfined' || label === 'kernel') return {};
  return label.split(':').length >= 4 ? { selinuxLabel: label } : { apparmorProfile: label.replace(/ \(.*\)$/, '') };
}

/** The id inside a user namespace for one of the host; the overflow id where there is none. */
export function toInsideId(map: readonly IdRange[] | undefined, id: number): number {
  if (map === undefined) return id;
  const range = map.find(({ outside, count }) => id >= outside && id < outside + count);
  return range ? id - range.outside + range.inside : overflowId;
}
