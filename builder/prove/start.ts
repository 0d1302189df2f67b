import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Environment } from './environments.ts';
import type { Ended, Room } from './room.ts';

export interface Failure {
  command: string;
  environment: string;
  problem: string;
}

/** What makes a program say something and end. A program that wants none of them has started all the same. */
export const ways = [['--version'], ['-V'], ['--help'], ['-h'], ['-v']];
const parallel = 3;
const timeoutMs = 8000;

/** What the loader, the shell and the languages say when something is not found. */
const notFound =
  /error while loading shared libraries|cannot open shared object|symbol lookup error|version `[^']*' not found|Can't locate \S+ in @INC|No module named|ModuleNotFoundError|: not found$|No such file or directory: '?\/dev\/crashcart|bad interpreter|the container speaks|ERROR: ld\.so/m;

/**
 * Starts each command in an environment and gives those that did not start: that could not be executed, were ended by a signal, missed a
 * part of themselves, obeyed the container, or opened files of the container that loader, libc and tools have no business with.
 */
export async function startAll(
  room: Room,
  environment: Environment,
  commands: readonly string[],
  strace: readonly string[],
): Promise<Failure[]> {
  const scratch = await mkdtemp(join(tmpdir(), 'crashcart-trace-'));
  const failures: Failure[] = [];
  const queue = [...commands];
  const worker = async (): Promise<void> => {
    for (let command = queue.shift(); command !== undefined; command = queue.shift()) {
      const problem = await problemOf(room, environment, command, strace, join(scratch, command.replaceAll('/', '_')));
      if (problem !== undefined) failures.push({ command, environment: environment.name, problem });
    }
  };
  try {
    await Promise.all(Array.from({ length: parallel }, worker));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return failures.sort((a, b) => (a.command < b.command ? -1 : 1));
}

async function problemOf(
  room: Room,
  environment: Environment,
  command: string,
  strace: readonly string[],
  trace: string,
): Promise<string | undefined> {
  let first: string | undefined;
  for (const way of ways) {
    const ended = await room.run([`/dev/crashcart/${command}`, ...way], {
      env: environment.env,
      timeoutMs,
      under: [...strace, '-f', '-qq', '-s', '256', '-e', 'trace=open,openat,execve', '-o', trace],
      ...(environment.uid !== undefined && { uid: environment.uid }),
    });
    const problem = wrong(ended) ?? foreign(await readFile(trace, 'latin1').catch(() => ''), command);
    if (problem === undefined) return undefined;
    first ??= `${way.join(' ')}: ${problem}`;
    // What it loads does not depend on its arguments.
    if (problem.startsWith('opens')) break;
  }
  return first;
}

export function wrong({ code, signal, timedOut, stdout, stderr }: Ended): string | undefined {
  const complaint = notFound.exec(`${stderr}\n${stdout}`);
  if (complaint) return (stderr || stdout).split('\n').find((line) => line.includes(complaint[0])) ?? complaint[0];
  if (timedOut) return undefined;
  if (signal) return `ended by ${signal}`;
  if (code === 126 || code === 127) return `exit code ${code}: ${stderr.trim().slice(0, 200)}`;
  if (code !== null && code > 128 && code < 160) return `ended by signal ${code - 128}`;
  return undefined;
}

/** Where the toolbox's programs may read. */
const own = /^\/(dev|proc|sys|etc)(\/|$)/;
/** What is the work of certain tools, not of loader or libc. */
const theirWork: readonly (readonly [command: RegExp, path: RegExp])[] = [
  // The current directory, and the root that they list or measure.
  [/./, /^(\.|\/)$/],
  // Looks at what other processes have mapped.
  [/\/(lsof|perf|gdb|ltrace|pldd)$/, /./],
];

/** Files of the container that were opened after the command itself was started. */
export function foreign(trace: string, command: string): string | undefined {
  const lines = trace.split('\n');
  const begin = lines.findIndex((line) => line.includes(`execve("/dev/crashcart/${command}"`));
  if (begin < 0) return 'was not executed';
  const opened = new Set<string>();
  for (const line of lines.slice(begin)) {
    const [, path, result] = /(?:open|openat|execve)\((?:AT_FDCWD, )?"([^"]*)".*\) = (\d+)/.exec(line) ?? [];
    if (path === undefined || result === undefined || !path.startsWith('/') || own.test(path)) continue;
    if (!theirWork.some(([who, what]) => who.test(command) && what.test(path))) opened.add(path);
  }
  return opened.size === 0 ? undefined : `opens ${[...opened].join(', ')}`;
}
