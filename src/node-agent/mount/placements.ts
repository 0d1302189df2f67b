import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { duplicate } from '../../linux/descriptors.ts';
import { hasErrno } from '../../linux/errno.ts';
import { closeAll, type Fd, type Kernel, type Pid } from '../../linux/kernel.ts';
import { isShared, mountOf, parseMountinfo } from '../../linux/mountinfo.ts';
import { mountNamespaceFlag } from '../../linux/namespaces.ts';
import { openPidfd, pidfdHasExited } from '../../linux/pidfd.ts';
import { parseStartTime } from '../../linux/proc.ts';
import { type Entry, entryTimeoutMs, runEntry } from '../session/entry.ts';
import { doesNotAnswer, type EntryLine, entryError } from '../session/entry-line.ts';
import type { EntryValues } from '../session/entry-request.ts';
import { eraseRecord, type PlacementRecord, readRecords, writeRecord } from './journal.ts';

/** The toolbox in containers' own mount namespaces (visibility Container): counted, journalled, taken out after the last session. */
export interface Placements {
  /**
   * Takes over `mount`, a detached clone of the toolbox. The first session of a container places it; the others find it there.
   * Throws MountPointOccupied, ContainerUnsupported, ContainerNotRunning.
   */
  acquire(target: PlacementTarget, toolbox: string, mount: Fd): Promise<Placement>;
  /** st_dev, hexadecimal, of the toolbox that stands in that container for all: an earlier agent's is another than ours. */
  standing(containerId: string): string | undefined;
}

/** An agent's, which outlive it in a journal. */
export interface JournalledPlacements extends Placements {
  /** A session of an earlier agent uses the toolbox in that container: counted again. Undefined where the journal knows of none. */
  adopt(containerId: string, toolbox: string): Placement | undefined;
  /** Whether a session uses the toolbox in that container. */
  has(containerId: string): boolean;
}

export interface PlacementTarget {
  readonly pid: number;
  readonly pidfd: number;
  readonly containerId: string;
}

export interface Placement {
  /** Counts down; the last takes the toolbox out. Safe twice. Answers what could not be removed. */
  release(): Promise<{ readonly leftovers?: string }>;
}

interface Placed {
  readonly toolbox: string;
  readonly record: PlacementRecord;
  /** None where an earlier agent placed it: then `record.device` tells it. */
  readonly mount: Fd | undefined;
  /** Our own: the session that came first may not be the last. */
  readonly pidfd: Fd;
}

/** All that is under way or there for one container; steps on it run one after another. */
interface Slot {
  users: number;
  placed: Placed | undefined;
  last: Promise<unknown>;
}

export interface PlacementDeps {
  readonly kernel: Kernel;
  readonly entry: Entry;
  readonly stateDirectory: string;
}

export function openPlacements(deps: PlacementDeps): JournalledPlacements {
  mkdirSync(deps.stateDirectory, { recursive: true, mode: 0o700 });
  const slots = new Map<string, Slot>();
  const inTurn = <T>(slot: Slot, step: () => Promise<T>): Promise<T> => {
    const next = slot.last.then(step, step);
    slot.last = next.catch(() => {});
    return next;
  };
  const enter = (key: string): { slot: Slot; release: () => Promise<{ leftovers?: string }> } => {
    const slot = slots.get(key) ?? { users: 0, placed: undefined, last: Promise.resolve() };
    slots.set(key, slot);
    slot.users++;
    const release = async (): Promise<{ leftovers?: string }> => {
      if (--slot.users > 0) return {};
      const { placed } = slot;
      slot.placed = undefined;
      const left = placed ? await takeOut(deps, placed) : {};
      // Whoever came meanwhile waits in this slot for its turn: in a slot of its own it would meet the old toolbox on its way out.
      if (slot.users === 0) slots.delete(key);
      return left;
    };
    return { slot, release };
  };
  const once = (slot: Slot, release: () => Promise<{ leftovers?: string }>): Placement => {
    let released: Promise<{ leftovers?: string }> | undefined;
    return {
      release: () => {
        released ??= inTurn(slot, release);
        return released;
      },
    };
  };
  return {
    has: (containerId) => slots.has(containerId),
    standing: (containerId) => slots.get(containerId)?.placed?.record.device,
    adopt: (containerId, toolbox) => {
      const record = readRecords(deps.stateDirectory).find((each) => each.containerId === containerId);
      const pidfd = record && pidfdOf(deps.kernel, record);
      if (record === undefined || pidfd === undefined) return undefined;
      const { slot, release } = enter(containerId);
      if (slot.placed) closeAll(deps.kernel, pidfd);
      else slot.placed = { toolbox, record, mount: undefined, pidfd };
      return once(slot, release);
    },
    acquire: async (target, toolbox, mount) => {
      const { slot, release } = enter(target.containerId);
      try {
        await inTurn(slot, async () => {
          if (slot.placed) reuse(deps.kernel, slot.placed, toolbox, mount);
          else slot.placed = await place(deps, target, toolbox, mount);
        });
      } catch (error) {
        await inTurn(slot, release);
        throw error;
      }
      return once(slot, release);
    },
  };
}

/** The process that a record means; undefined when it is gone. */
function pidfdOf(kernel: Kernel, record: PlacementRecord): Fd | undefined {
  try {
    const pidfd = openPidfd(kernel, record.pid as Pid);
    if (parseStartTime(readFileSync(`/proc/${record.pid}/stat`, 'utf8')) === record.startTime) return pidfd;
    closeAll(kernel, pidfd);
  } catch (error) {
    if (!hasErrno(error, 'ESRCH', 'ENOENT')) throw error;
  }
  return undefined;
}

function reuse(kernel: Kernel, placed: Placed, toolbox: string, mount: Fd): void {
  closeAll(kernel, mount);
  if (placed.toolbox === toolbox) return;
  throw new CrashcartError(
    reasons.MountPointOccupied,
    `Another session shows the toolbox "${placed.toolbox}" to this container: end it first, or take visibility Session.`,
  );
}

async function place(deps: PlacementDeps, target: PlacementTarget, toolbox: string, mount: Fd): Promise<Placed> {
  const { kernel, stateDirectory } = deps;
  try {
    requirePrivatePropagation(target.pid);
    const record: PlacementRecord = {
      containerId: target.containerId,
      pid: target.pid,
      startTime: parseStartTime(readFileSync(`/proc/${target.pid}/stat`, 'utf8')),
      device: statSync(`/proc/self/fd/${mount}`).dev.toString(16),
      created: true,
      createdDev: false,
    };
    // Written before the deed: a crash in between leaves a record of nothing, never a mount without a record.
    writeRecord(stateDirectory, record);
    const done = await oneShot(deps, { verb: 'place', target: target.pidfd, mount, values: {} });
    if (done.type !== 'placed') throw new CrashcartError(reasons.Internal, `crashcart-enter answered "${done.type}".`);
    const exact = { ...record, created: done.created, createdDev: done.createdDev };
    // What was to be expected stands there already.
    if (!isDeepStrictEqual(exact, record)) writeRecord(stateDirectory, exact);
    return { toolbox, record: exact, mount, pidfd: duplicate(kernel, target.pidfd) };
  } catch (error) {
    closeAll(kernel, mount);
    eraseRecord(stateDirectory, target.containerId);
    throw error;
  }
}

/** On a shared mount ours would appear on the node and in every peer: nobody asked for that. */
function requirePrivatePropagation(pid: number): void {
  const dev = mountOf(parseMountinfo(readFileSync(`/proc/${pid}/mountinfo`, 'utf8')), '/dev');
  if (dev === undefined || !isShared(dev)) return;
  throw new CrashcartError(
    reasons.ContainerUnsupported,
    'The container shares its /dev mount with others, so the toolbox would appear there too: take visibility Session.',
  );
}

async function takeOut(deps: PlacementDeps, { record, mount, pidfd }: Placed): Promise<{ leftovers?: string }> {
  try {
    if (!pidfdHasExited(deps.kernel, pidfd)) {
      const values = {
        ...(mount === undefined ? { device: record.device } : {}),
        created: record.created,
        createddev: record.createdDev,
      };
      await oneShot(deps, { verb: 'remove', target: pidfd, mount, values });
    }
  } catch (error) {
    // With the container its mount namespace goes, and the mount in it.
    if (!isEnded(error)) return { leftovers: `the toolbox in container ${record.containerId}: ${String(error)}` };
  } finally {
    closeAll(deps.kernel, mount, pidfd);
  }
  eraseRecord(deps.stateDirectory, record.containerId);
  return {};
}

const isEnded = (error: unknown): boolean =>
  error instanceof CrashcartError && error.reason === reasons.ContainerNotRunning;

interface OneShot {
  readonly verb: 'place' | 'remove';
  readonly target: number;
  readonly mount: Fd | undefined;
  readonly values: EntryValues;
}

/** Runs crashcart-enter for one deed in the container's mount namespace and gives its last line; its error line is thrown. */
export async function oneShot(
  { kernel, entry }: Pick<PlacementDeps, 'kernel' | 'entry'>,
  deed: OneShot,
): Promise<EntryLine> {
  const { lines, closed, giveUp } = runEntry(kernel, entry, {
    verb: deed.verb,
    descriptors: { pidfd: deed.target, toolbox: deed.mount },
    values: { namespaces: mountNamespaceFlag, ...deed.values },
  });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    giveUp();
  }, entryTimeoutMs);
  try {
    for await (const line of lines) {
      if (line.type === 'error') throw entryError(line);
      if (line.type !== 'warning') return line;
    }
  } catch (error) {
    if (!late) throw error;
  } finally {
    clearTimeout(timer);
    await closed;
  }
  if (late) throw doesNotAnswer();
  throw new CrashcartError(
    reasons.Internal,
    `crashcart-enter ${deed.verb} ended without an answer: see the node agent's log.`,
  );
}
