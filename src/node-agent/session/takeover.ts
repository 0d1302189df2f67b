import { readFileSync, readlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { closeAll, type Fd, type Kernel, type Pid } from '../../linux/kernel.ts';
import { openPidfd, takeFd } from '../../linux/pidfd.ts';
import { setTerminalSize } from '../../linux/terminal.ts';
import type { JournalledPlacements, Placement } from '../mount/placements.ts';
import { type CgroupDeps, findSessionCgroup, shareHomes } from './cgroup.ts';
import { firstDescriptor } from './entry.ts';
import { followSupervisor } from './follow.ts';
import { memoryName, SessionMemory } from './memory.ts';
import { sessionProcess } from './process.ts';
import type { SessionProcess } from './request.ts';

/** What stands in a session's memory for the next agent. */
export interface TakeoverRecord {
  /** `Survival.record`. */
  readonly session: unknown;
  /** Host pid of the command. */
  readonly pid: number;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly cgroup: string;
  /** Its share in a toolbox that stands in the container for all. */
  readonly placement?: { readonly containerId: string; readonly toolbox: string };
}

export interface TakenOver {
  readonly process: SessionProcess;
  readonly record: unknown;
  /** Of the container's first process; the caller's to close. */
  readonly target: Fd;
  readonly cgroup: string;
}

/** Where superviseCommand and layOut put them. */
const places = {
  ring: firstDescriptor,
  waker: firstDescriptor + 1,
  poker: firstDescriptor + 2,
  target: firstDescriptor + 3,
};
/** Of what it reads the command's output from. */
const masterPlace = firstDescriptor + 7;

interface TakeoverDeps extends CgroupDeps {
  readonly placements: JournalledPlacements;
}

/**
 * Takes a running session over from an agent that is gone, if `wants` says so of its record. Undefined otherwise, and where the process is no supervisor that was made to be taken over.
 * @throws SyscallError ESRCH when it has ended meanwhile
 */
export function takeOver(
  deps: TakeoverDeps,
  pid: number,
  wants: (session: unknown) => boolean = () => true,
): TakenOver | undefined {
  const { kernel } = deps;
  using stack = new DisposableStack();
  const supervisor = own(stack, kernel, openPidfd(kernel, pid as Pid));
  // Read by number, and only counted if the pidfd is still good afterwards: takeFd below says so.
  if (!isSupervisor(pid)) return undefined;
  const take = (place: number): Fd => own(stack, kernel, takeFd(kernel, supervisor, place));
  const memory = stack.use(new SessionMemory(takeFd(kernel, supervisor, places.ring)));
  const record = memory.readRecord();
  if (!isRecord(record) || !wants(record.session)) return undefined;
  const [waker, poker, target] = [take(places.waker), take(places.poker), take(places.target)];
  const forCaller = take(places.target);
  const master = record.tty ? take(masterPlace) : undefined;
  const placement = adoptPlacement(deps, record);
  stack.move();
  const command = followSupervisor(kernel, { memory, waker, poker, pidfd: supervisor, target, taken: true });
  let open = true;
  const stdio = {
    resize: (size: { width: number; height: number }): void => {
      if (open && master !== undefined) setTerminalSize(kernel, master, size);
    },
    close: (): void => {
      if (open) closeAll(kernel, master);
      open = false;
    },
  };
  const cgroup = findSessionCgroup(deps, record.cgroup);
  const homes = shareHomes(deps, dirname(record.cgroup));
  const process = sessionProcess({ ...record, stdio, memory, command, cgroup, placement, homes });
  return { process, record: record.session, target: forCaller, cgroup: record.cgroup };
}

const adoptPlacement = (deps: TakeoverDeps, { placement }: TakeoverRecord): Placement | undefined =>
  placement && deps.placements.adopt(placement.containerId, placement.toolbox);

function own(stack: DisposableStack, kernel: Kernel, fd: Fd): Fd {
  return stack.adopt(fd, (each) => closeAll(kernel, each));
}

/** Only the node's root can put a process into the supervisors' cgroup; that it is one of ours is looked at all the same. */
const isSupervisor = (pid: number): boolean => {
  try {
    const [program, verb] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    const ring = readlinkSync(`/proc/${pid}/fd/${places.ring}`);
    return program === 'crashcart-enter' && verb === 'run' && ring.startsWith(`/memfd:${memoryName} `);
  } catch {
    return false;
  }
};

const isRecord = (value: unknown): value is TakeoverRecord => {
  if (typeof value !== 'object' || value === null) return false;
  const { pid, tty, stdin, cgroup } = value as Readonly<Record<string, unknown>>;
  return (
    typeof pid === 'number' && typeof tty === 'boolean' && typeof stdin === 'boolean' && typeof cgroup === 'string'
  );
};
