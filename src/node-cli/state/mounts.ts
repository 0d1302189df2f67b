import { readFileSync, statSync } from 'node:fs';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { hasErrno } from '../../linux/errno.ts';
import { closeAll, type Fd, type Kernel, type Pid } from '../../linux/kernel.ts';
import { isShared, mountOf, parseMountinfo } from '../../linux/mountinfo.ts';
import { namespaceOf } from '../../linux/namespaces.ts';
import { openPidfd } from '../../linux/pidfd.ts';
import { oneShot } from '../../node-agent/mount/placements.ts';
import type { Entry } from '../../node-agent/session/entry.ts';
import { deviceText, processIn, toolboxSeenBy } from './node-mounts.ts';
import {
  type ContainerName,
  identityOf,
  isAlive,
  isSame,
  type MountRecord,
  type ProcessIdentity,
  type Records,
} from './records.ts';

export interface MountDeps {
  readonly kernel: Kernel;
  readonly entry: Entry;
  readonly records: Records<MountRecord>;
}

export interface MountTarget {
  readonly pid: number;
  readonly pidfd: number;
  readonly mountNamespace: string;
  readonly container: ContainerName;
}

/** Who wants the toolbox to be there: a process for as long as it runs, or a person until `-u`. */
export type Holder = ProcessIdentity | 'kept';

/** One namespace, one record. */
export const keyOf = (mountNamespace: string): string => mountNamespace.replace(/\D/g, '');

/**
 * Shows the toolbox to a container, or takes part in what is there already. Owns `mount`, a detached clone. Callers hold the lock.
 * Throws MountPointOccupied, ContainerUnsupported, ContainerNotRunning.
 */
export async function holdMount(
  deps: MountDeps,
  target: MountTarget,
  image: MountRecord['image'],
  mount: Fd,
  holder: Holder,
): Promise<MountRecord> {
  const { kernel, records } = deps;
  try {
    const device = statSync(`/proc/self/fd/${mount}`).dev.toString(16);
    const there = current(deps, target.mountNamespace, target.pid);
    if (there && there.device !== device) throw otherImage(there);
    const record = withHolder(there ?? (await place(deps, target, image, device, mount)), holder);
    records.write(keyOf(target.mountNamespace), record);
    return record;
  } finally {
    closeAll(kernel, mount);
  }
}

/** The record of a namespace whose toolbox still stands; one that a container has got rid of itself is forgotten. */
export function current(
  { records }: Pick<MountDeps, 'records'>,
  mountNamespace: string,
  pid: number,
): MountRecord | undefined {
  const record = records.read(keyOf(mountNamespace));
  if (record === undefined || record.mountNamespace !== mountNamespace) return undefined;
  if (toolboxSeenBy(pid) === deviceText(record.device)) return record;
  records.erase(keyOf(mountNamespace));
  return undefined;
}

async function place(
  deps: MountDeps,
  target: MountTarget,
  image: MountRecord['image'],
  device: string,
  mount: Fd,
): Promise<MountRecord> {
  requirePrivatePropagation(target.pid);
  const record: MountRecord = {
    container: target.container,
    process: identityOf(target.pid),
    mountNamespace: target.mountNamespace,
    image,
    device,
    created: true,
    createdDev: false,
    kept: false,
    users: [],
    since: new Date().toISOString(),
  };
  // Written before the deed: a crash in between leaves a record of nothing, never a mount without a record.
  deps.records.write(keyOf(target.mountNamespace), record);
  try {
    const done = await oneShot(deps, { verb: 'place', target: target.pidfd, mount, values: {} });
    if (done.type !== 'placed') throw new CrashcartError(reasons.Internal, `crashcart-enter answered "${done.type}".`);
    return { ...record, created: done.created, createdDev: done.createdDev };
  } catch (error) {
    deps.records.erase(keyOf(target.mountNamespace));
    throw error;
  }
}

function withHolder(record: MountRecord, holder: Holder): MountRecord {
  return holder === 'kept' ? { ...record, kept: true } : { ...record, users: [...record.users, holder] };
}

/** What is left of a record without a holder: takes the toolbox out with the last one. Answers the record while somebody needs it. */
export async function releaseMount(
  deps: MountDeps,
  mountNamespace: string,
  holder: Holder,
): Promise<MountRecord | undefined> {
  const record = deps.records.read(keyOf(mountNamespace));
  if (record === undefined) return undefined;
  const kept = holder === 'kept' ? false : record.kept;
  const users = record.users.filter((user) => isAlive(user) && (holder === 'kept' || !isSame(user, holder)));
  return settle(deps, { ...record, kept, users });
}

/** Brings what stands in line with a record: written while it is needed, taken out otherwise. */
export async function settle(deps: MountDeps, record: MountRecord): Promise<MountRecord | undefined> {
  const key = keyOf(record.mountNamespace);
  const pid = anchorOf(record);
  // With its last process a mount namespace goes, and the mount in it.
  if (pid === undefined) {
    deps.records.erase(key);
    return undefined;
  }
  if (record.kept || record.users.length > 0) {
    deps.records.write(key, record);
    return record;
  }
  await takeOut(deps, record, pid);
  deps.records.erase(key);
  return undefined;
}

/** By the mount's device, never by a path alone: what the container has put in its place is not touched. */
async function takeOut({ kernel, entry }: MountDeps, record: MountRecord, pid: number): Promise<void> {
  const { device, created, createdDev } = record;
  let pidfd: Fd | undefined;
  try {
    pidfd = openPidfd(kernel, pid as Pid);
    if (namespaceOf(pid, 'mnt') !== record.mountNamespace) return;
    const values = { device, created, createddev: createdDev };
    await oneShot({ kernel, entry }, { verb: 'remove', target: pidfd, mount: undefined, values });
  } catch (error) {
    if (!hasErrno(error, 'ESRCH') && !(error instanceof CrashcartError && error.reason === reasons.ContainerNotRunning))
      throw error;
  } finally {
    closeAll(kernel, pidfd);
  }
}

/** A process of the container, the one that it was put in for if that still runs. */
function anchorOf({ process, mountNamespace }: MountRecord): number | undefined {
  if (isAlive(process) && namespaceOf(process.pid, 'mnt') === mountNamespace) return process.pid;
  return processIn(mountNamespace);
}

/** On a shared mount ours would appear on the node and in every peer. */
function requirePrivatePropagation(pid: number): void {
  const dev = mountOf(parseMountinfo(readFileSync(`/proc/${pid}/mountinfo`, 'utf8')), '/dev');
  if (dev === undefined || !isShared(dev)) return;
  throw new CrashcartError(
    reasons.ContainerUnsupported,
    'The container shares its /dev mount with others, so the toolbox would appear there too: use --private.',
  );
}

const otherImage = (there: MountRecord): CrashcartError =>
  new CrashcartError(
    reasons.MountPointOccupied,
    `The container shows the image "${there.image.name}" already: take it out with -u first, or name the same image.`,
  );
