import { spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { CrashcartError, reasons } from '../../src/base/errors.ts';

/** A process that is told apart from a later one of the same number by the time at which it started. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  readonly startTime: string;
}

interface Stat {
  readonly state: string;
  readonly parent: number;
  readonly startTime: string;
}

/** The parts of a line of /proc/PID/stat that matter here. The command in it may contain spaces and parentheses. */
export function parseStat(line: string): Stat {
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', parent: Number(fields[1]), startTime: fields[19] ?? '' };
}

function stat(pid: number): Stat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return undefined;
  }
}

export const allPids = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

/** Throws NotFound if the process is gone already. */
export function identify(pid: number): ProcessIdentity {
  const found = stat(pid);
  if (!found) throw new CrashcartError(reasons.NotFound, `Process ${pid} ended as soon as it was started.`);
  return { pid, startTime: found.startTime };
}

/** Whether it still runs; a zombie does not. */
export function isAlive({ pid, startTime }: ProcessIdentity): boolean {
  const found = stat(pid);
  return found !== undefined && found.startTime === startTime && found.state !== 'Z';
}

export function childOf(parent: number): number | undefined {
  return allPids().find((pid) => stat(pid)?.parent === parent);
}

/** `net:[4026532281]`, the kernel's name of a process's namespace; undefined if it is gone. */
export function namespaceOf(pid: number | 'self', kind: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`);
  } catch {
    return undefined;
  }
}

/** Kills what is still the same process. */
export function kill({ pid, startTime }: ProcessIdentity): void {
  if (!isAlive({ pid, startTime })) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Starts a program that outlives us, in a session of its own (Ctrl-C does not reach it) and, from its first
 * instruction on, in the cgroups whose `cgroup.procs` are given.
 */
export function startInCgroup(
  procs: readonly string[],
  argv: readonly string[],
  options: { readonly log: string; readonly env?: Readonly<Record<string, string>> },
): number {
  const log = openSync(options.log, 'a');
  try {
    const join = 'while [ "$1" != -- ]; do echo $$ > "$1"; shift; done; shift; exec "$@"';
    const child = spawn('/bin/sh', ['-ec', join, 'start', ...procs, '--', ...argv], {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...options.env },
    });
    child.once('error', () => {}); // no pid then, which is reported below
    child.unref();
    if (child.pid === undefined)
      throw new CrashcartError(reasons.Internal, `Cannot start ${argv[0]}: see ${options.log}.`);
    return child.pid;
  } finally {
    closeSync(log);
  }
}
