import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { hasErrno } from '../../linux/errno.ts';
import { namespaceOf, ownNamespace } from '../../linux/namespaces.ts';
import { isEnding, type ProcessStatus, parseProcessStatus, parseRelations } from '../../linux/proc.ts';
import { labelOf } from '../../linux/security-module.ts';
import type { Privileges } from './profile.ts';
import type { Surroundings } from './target.ts';

export interface Expected {
  readonly privileges: Privileges;
  readonly surroundings: Surroundings;
  readonly target: { readonly pid: number };
  /** Path of the session's cgroup, and in how many hierarchies it is one. */
  readonly cgroup: { readonly path: string; readonly hierarchies: number };
}

/**
 * Looks at the process from outside, while it waits at its gate: what it was told to drop it must have dropped, whatever the container's
 * /proc or the program's own belief say. Throws Internal that lists every difference.
 */
export function verifyProcess(pid: number, expected: Expected): void {
  const { status, cgroups } = look(pid);
  const differences = [
    ...differencesOfStatus(status, expected),
    ...differenceOfLabel(pid, expected.privileges),
    ...(['pid', 'net', 'user'] as const)
      .filter((name) => namespaceOf(pid, name) !== namespaceOf(expected.target.pid, name))
      .map((name) => `${name} namespace`),
    ...(namespaceOf(pid, 'mnt') === ownNamespace('mnt') ? ['mount namespace'] : []),
    ...(isInside(cgroups, expected.cgroup) ? [] : ['cgroup']),
  ];
  if (differences.length === 0) return;
  // A signal may have come while we looked.
  look(pid);
  throw new CrashcartError(
    reasons.Internal,
    `The session was ended before its command ran, because its process differs from what was decided in: ${differences.join(', ')}.`,
  );
}

const atGateWithinMs = 20_000;

/**
 * Until the command has a session of its own, which it makes behind PR_SET_PDEATHSIG (native/command.c): from then on it ends with its supervisor.
 * One whose supervisor ended before has another parent by now, and is refused. A stopped one is not waited for: only the container can have stopped it.
 */
export async function untilSupervised(pid: number, supervisor: number): Promise<void> {
  for (const deadline = Date.now() + atGateWithinMs; ; await sleep(1)) {
    const { state, parent, session } = parseRelations(read(pid, 'stat'));
    if (parent !== supervisor) throw ended();
    if (session === pid || /^[TtZXx]/.test(state)) return;
    if (Date.now() > deadline)
      throw new CrashcartError(
        reasons.Timeout,
        "The session's process was not ready in time: look at the node's load.",
      );
  }
}

/** Whoever may send signals to the session's user, the container's own processes first of all, can end it while it waits. */
function look(pid: number): { readonly status: ProcessStatus; readonly cgroups: string } {
  const status = parseProcessStatus(read(pid, 'status'));
  const cgroups = read(pid, 'cgroup');
  if (isEnding(read(pid, 'stat'))) throw ended();
  return { status, cgroups };
}

function read(pid: number, name: 'status' | 'cgroup' | 'stat'): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch (cause) {
    throw hasErrno(cause, 'ENOENT', 'ESRCH') ? ended() : cause;
  }
}

const ended = (): CrashcartError =>
  new CrashcartError(
    reasons.Internal,
    'The session was ended by a signal before its command ran, perhaps by a process of the container: try again.',
  );

function differencesOfStatus(status: ProcessStatus, { privileges, surroundings }: Expected): string[] {
  const { uid, gid, groups, bounding, permitted, ambient, noNewPrivileges, seccomp } = privileges;
  const sets = status.capabilities;
  const same: Readonly<Record<string, boolean>> = {
    uid: allAre(status.uids, surroundings.hostUid(uid)),
    gid: allAre(status.gids, surroundings.hostGid(gid)),
    groups: sorted(status.groups) === sorted(groups.map(surroundings.hostGid)),
    'bounding set': sets.bounding === bounding,
    'permitted capabilities': sets.permitted === permitted && sets.effective === permitted,
    'inherited capabilities': sets.ambient === ambient && sets.inheritable === ambient,
    no_new_privs: status.noNewPrivileges === noNewPrivileges,
    // At least: the agent itself may be filtered, and its filters are inherited.
    'seccomp filter': status.seccomp.mode === 2 && (status.seccomp.filters ?? seccomp.length) >= seccomp.length,
  };
  return Object.keys(same).filter((name) => !same[name]);
}

/** SELinux gives the label with the exec, which is still to come; the kernel refuses that where it cannot. */
const differenceOfLabel = (pid: number, { label }: Privileges): string[] =>
  label?.module === 'apparmor' && labelOf(pid) !== label.name ? ['AppArmor profile'] : [];

const allAre = (ids: readonly number[], id: number): boolean => ids.length === 4 && ids.every((each) => each === id);

const sorted = (ids: readonly number[]): string => [...new Set(ids)].sort((a, b) => a - b).join();

/** In every hierarchy, for each has its own limits; seen through the agent's cgroup namespace the path may start with `/..`. */
function isInside(cgroups: string, { path, hierarchies }: Expected['cgroup']): boolean {
  return cgroups.split('\n').filter((line) => line.endsWith(path)).length >= hierarchies;
}
