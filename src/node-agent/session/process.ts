import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { defaultShell } from '../../api/names.ts';
import { CrashcartError, reasons } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { CgroupLayout } from '../../linux/cgroup.ts';
import { sealProgram } from '../../linux/descriptors.ts';
import { closeAll, type Fd, type Kernel } from '../../linux/kernel.ts';
import { mapOwners } from '../../linux/mount.ts';
import { ownLimits, withinLimits } from '../../linux/rlimits.ts';
import type { SeccompFilter } from '../../linux/seccomp/filter.ts';
import { filterProgram } from '../../linux/seccomp/programs.ts';
import { labelRequest } from '../../linux/security-module.ts';
import type { JournalledPlacements, Placement, Placements } from '../mount/placements.ts';
import type { Toolboxes } from '../toolbox/toolboxes.ts';
import { bootNow } from './boot-clock.ts';
import { type Homes, openHomes, openSessionCgroup, removeInTheEnd, type SessionCgroup } from './cgroup.ts';
import type { Entry } from './entry.ts';
import type { EntryValues } from './entry-request.ts';
import { sessionEnvironment } from './environment.ts';
import type { Followed } from './follow.ts';
import { SessionMemory } from './memory.ts';
import { decidePrivileges, type Privileges } from './profile.ts';
import type { ProcessRequest, SessionProcess } from './request.ts';
import { FollowedInput, FollowedOutput } from './session-output.ts';
import { openStdio, type SessionStdio } from './stdio.ts';
import { type SessionStreams, streamsOf } from './streams.ts';
import { superviseCommand } from './supervised.ts';
import type { TakeoverRecord } from './takeover.ts';
import { containerEnded, examineTarget, hasEnded, type Surroundings } from './target.ts';
import { untilSupervised, verifyProcess } from './verify.ts';

export type * from './request.ts';

/** What lives as long as the agent; `openProcessDeps` makes it. */
export interface ProcessDeps {
  readonly kernel: Kernel;
  readonly entry: Entry;
  readonly toolboxes: Toolboxes;
  readonly cgroups: CgroupLayout;
  readonly placements: Placements;
  /** Where an agent keeps what the next one needs. */
  readonly stateDirectory?: string;
  /** The program that every session's cgroup gets. */
  readonly deviceFilter: Fd;
  /** Where the sessions' cgroups go, for a program that must keep them apart from the agent's; left out: beside kubepods. */
  readonly sessionsCgroup?: string;
  /** The host's cgroup namespace, where the agent has one of its own. */
  readonly hostCgroup?: Fd;
  readonly log: Logger;
}

/** What an agent has beside that, to take over and to sweep. */
export interface AgentDeps extends ProcessDeps {
  readonly placements: JournalledPlacements;
  readonly stateDirectory: string;
}

/**
 * Starts a command in a container, with the toolbox at /dev/crashcart, in a cgroup of its own. Resolves once it was looked at from outside and
 * let go; rejects with a CrashcartError (MountPointOccupied, ContainerUnsupported, ContainerNotRunning, ToolboxNotFound, ProfileRefused,
 * Invalid, Timeout, Internal), and then nothing is left. A command that is not there is no error here: it exits with 127, as in a shell.
 */
export async function startProcess(request: ProcessRequest, deps: ProcessDeps): Promise<SessionProcess> {
  try {
    return await enter(request, deps);
  } catch (error) {
    // Whatever step met the end of the container.
    const isOurs = error instanceof CrashcartError && error.reason !== reasons.Internal;
    if (isOurs || !hasEnded(deps.kernel, request.target)) throw error;
    throw containerEnded(error);
  }
}

async function enter(request: ProcessRequest, deps: ProcessDeps): Promise<SessionProcess> {
  const { target } = request;
  await using undo = new AsyncDisposableStack();
  using surroundings = examineTarget(deps.kernel, target);
  const { profile, rules, user } = request;
  const { available, seesNode, securityModule } = surroundings;
  const privileges = decidePrivileges({
    spec: target.spec,
    profile,
    rules,
    user,
    available,
    seesNode,
    securityModule,
  });
  const owner = { uid: surroundings.hostUid(privileges.uid), gid: surroundings.hostGid(privileges.gid) };
  using toolbox = openToolbox(request, deps, surroundings);
  const placement = await toolbox.place();
  if (placement) undo.defer(async () => void (await placement.release()));
  const cgroup = openSessionCgroup(request, privileges.limits, deps);
  undo.defer(() => removeInTheEnd(cgroup, target.pidfd, deps));
  using filters = sealFilters(deps.kernel, privileges.seccomp);
  using proc = openProc(privileges);
  const stdio = openStdio(deps.kernel, request, owner);
  undo.defer(() => stdio.close());
  const memory = SessionMemory.create(deps.kernel);
  undo.defer(() => memory[Symbol.dispose]());
  const homes = openHomes(deps, request);
  undo.defer(async () => {
    homes.close();
    await homes.release();
  });
  // Nothing is lost until the first reader says what it needs.
  memory.keep(0);
  const command = await superviseCommand(
    deps,
    { target, memory },
    {
      descriptors: {
        ...stdio.outer,
        cgroup: cgroup.unified,
        // From here on the supervisor keeps none (native/supervise.c).
        devpts: stdio.devpts,
        toolbox: toolbox.mount,
        hostcgroup: deps.hostCgroup,
        proc: proc.open,
        home: homes.unified,
      },
      joins: cgroup.legacy,
      homes: homes.legacy,
      filters: filters.open,
      values: { ...argumentsOf(request, surroundings, privileges), ...toolbox.standing },
      command: request.command?.length ? request.command : defaultShell,
      env: sessionEnvironment(request.env, target.spec.env),
      stdio: stdio.inner,
    },
  );
  undo.defer(() => command.abandon());
  const pid = await command.started;
  await untilSupervised(pid, command.supervisor);
  verifyProcess(pid, { privileges, surroundings, target, cgroup });
  homes.close();
  stdio.handOver();
  if (request.survival && !request.endsWithUs) {
    memory.writeRecord({ session: request.survival.record, pid, ...factsOf(request, cgroup) } satisfies TakeoverRecord);
    memory.lease(leaseFrom(request.survival.leaseMs));
  }
  memory.release();
  command.letGo();
  undo.move();
  const { tty, stdin } = request;
  return sessionProcess({ pid, tty, stdin, stdio, memory, command, cgroup, placement, homes });
}

/** As programs in memory, for as long as the entering program is being started. */
function sealFilters(kernel: Kernel, filters: readonly SeccompFilter[]): { readonly open: readonly Fd[] } & Disposable {
  const open: Fd[] = [];
  const close = (): void => closeAll(kernel, ...open);
  try {
    const architecture = process.arch === 'arm64' ? 'arm64' : 'x64';
    for (const filter of filters) open.push(sealProgram(kernel, filterProgram(filter, architecture), 'seccomp'));
    return { open, [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}

/** For a label, which the entering program asks for when it sees the container's /proc already. */
function openProc({ label }: Privileges): { readonly open: Fd | undefined } & Disposable {
  const open = label && (openSync('/proc', 'r') as Fd);
  return { open, [Symbol.dispose]: () => void (open !== undefined && closeSync(open)) };
}

const factsOf = (request: ProcessRequest, cgroup: SessionCgroup): Omit<TakeoverRecord, 'session' | 'pid'> => ({
  tty: request.tty,
  stdin: request.stdin,
  cgroup: cgroup.path,
  ...(request.visibility === 'Container'
    ? { placement: { containerId: request.target.containerId, toolbox: request.toolbox } }
    : {}),
});

interface OpenToolbox extends Disposable {
  /** What the session places itself; none when it stands in the container for all. */
  readonly mount?: Fd;
  /** What it then finds of ours in the container, and may cover. */
  readonly standing?: { readonly device: string };
  place(): Promise<Placement | undefined>;
}

/** A clone with the owners that the container's user namespace knows. */
function openToolbox(request: ProcessRequest, deps: ProcessDeps, surroundings: Surroundings): OpenToolbox {
  const { kernel, toolboxes, placements } = deps;
  const mount = toolboxes.clone(request.toolbox);
  const close = (): void => closeAll(kernel, mount);
  try {
    if (surroundings.userNamespace !== undefined) mapOwners(kernel, mount, surroundings.userNamespace);
  } catch (error) {
    close();
    throw error;
  }
  if (request.visibility === 'Session') {
    const device = placements.standing(request.target.containerId);
    return {
      mount,
      ...(device ? { standing: { device } } : {}),
      place: async () => undefined,
      [Symbol.dispose]: close,
    };
  }
  return {
    place: () => placements.acquire(request.target, request.toolbox, mount), // which owns it from now on
    [Symbol.dispose]: () => {},
  };
}

function argumentsOf(request: ProcessRequest, surroundings: Surroundings, privileges: Privileges): EntryValues {
  const label = privileges.label && labelRequest(privileges.label.module, privileges.label.name);
  return {
    namespaces: surroundings.namespaces,
    userns: surroundings.userNamespace !== undefined,
    tty: request.tty,
    cwd: request.target.spec.cwd || '/',
    uid: privileges.uid,
    gid: privileges.gid,
    groups: privileges.groups,
    bounding: privileges.bounding,
    permitted: privileges.permitted,
    ambient: privileges.ambient,
    nonewprivs: privileges.noNewPrivileges,
    rlimits: withinLimits(privileges.rlimits, ownLimits()),
    ...(label ? { labelfile: label.file, label: label.text } : {}),
  };
}

export interface Parts {
  readonly pid: number;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdio: Pick<SessionStdio, 'resize' | 'close'>;
  readonly memory: SessionMemory;
  readonly command: Followed;
  readonly cgroup: Pick<SessionCgroup, 'kill' | 'endAndRemove'>;
  readonly placement: Placement | undefined;
  readonly homes: Pick<Homes, 'release'>;
}

/** A session that runs, whoever started it. */
export function sessionProcess(parts: Parts): SessionProcess {
  const { pid, tty, stdio, memory, command, cgroup, placement, homes } = parts;
  const output = new FollowedOutput(memory, command);
  const input = tty || parts.stdin ? new FollowedInput(memory, command, tty) : undefined;
  let streams: SessionStreams | undefined;
  let byPosition = false;
  const open = (): SessionStreams => {
    streams ??= streamsOf(output, input, tty);
    return streams;
  };
  const end = async (): Promise<void> => {
    await cgroup.kill();
    await settled(command.exited);
  };
  const tidy = async (): Promise<{ leftovers?: string }> => {
    const cgroupLeft = await cgroup.endAndRemove();
    await settled(command.exited);
    await command.abandon();
    await homes.release();
    stdio.close();
    await Promise.all([streams?.stdout, streams?.stderr, streams?.stdin].map(close));
    // Who reads by position reads on, and disposes of it.
    if (!byPosition) output[Symbol.dispose]();
    const placementLeft = await placement?.release();
    const leftovers = [cgroupLeft, placementLeft?.leftovers].filter(Boolean).join('; ');
    return leftovers === '' ? {} : { leftovers };
  };
  let tidied: ReturnType<typeof tidy> | undefined;
  const cleanup = (): ReturnType<typeof tidy> => {
    // What could not be removed is tried again by who asks again: every step of it is safe twice.
    tidied ??= tidy().then((done) => {
      if (done.leftovers !== undefined) tidied = undefined;
      return done;
    });
    return tidied;
  };
  const session: SessionProcess = {
    pid,
    get output() {
      byPosition = true;
      return output;
    },
    ...(input ? { input } : {}),
    get stdout() {
      return open().stdout;
    },
    resize: (size) => stdio.resize(size),
    idleMs: () => Number((bootNow() - memory.told().active) / 1_000_000n),
    renew: (leaseMs) => memory.lease(leaseFrom(leaseMs)),
    get noted() {
      return memory.noted;
    },
    set noted(value: number) {
      memory.noted = value;
    },
    get visited() {
      return memory.visited;
    },
    visit: () => memory.visit(),
    exited: command.exited,
    end,
    cleanup,
    [Symbol.asyncDispose]: async () => {
      await cleanup();
      output[Symbol.dispose]();
    },
  };
  // Not by spreading an object with getters, which would call them: the first use of a stream starts it.
  const lazily = (name: 'stderr' | 'stdin'): object =>
    Object.defineProperty(session, name, { enumerable: true, get: () => open()[name] });
  if (!tty) lazily('stderr');
  if (input) lazily('stdin');
  return session;
}

const leaseFrom = (ms: number): bigint => bootNow() + BigInt(Math.trunc(ms)) * 1_000_000n;

/** All processes are dead by then; a supervisor that has not said so yet is stuck, and is ended after this. */
const supervisorEndsWithinMs = 5_000;

const settled = (promise: Promise<unknown>): Promise<unknown> =>
  Promise.race([promise, sleep(supervisorEndsWithinMs, undefined, { ref: false })]);

async function close(stream: Readable | Writable | undefined): Promise<void> {
  if (stream === undefined || stream.closed) return;
  const closed = once(stream, 'close');
  stream.destroy();
  await closed;
}
