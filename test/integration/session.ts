/** Runs sessions in test containers and says what is left on the machine. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProfileName } from '../../src/api/debug-session.ts';
import { shippedProfiles } from '../../src/api/profile-rules.ts';
import { silentLogger } from '../../src/base/log.ts';
import { type Kernel, loadKernel } from '../../src/linux/kernel.ts';
import { namespaceOf } from '../../src/linux/namespaces.ts';
import { openProcessDeps } from '../../src/node-agent/session/deps.ts';
import {
  type AgentDeps,
  type ProcessRequest,
  type SessionProcess,
  startProcess,
} from '../../src/node-agent/session/process.ts';
import { cgroupDirectories, cgroupRoot, testCgroup } from './cgroups.ts';
import type { Container } from './container.ts';

const build = join(import.meta.dirname, '../../build');

export const defaultEnter = join(build, 'native/crashcart-enter');

export const toolboxDirectory = process.env['CRASHCART_TEST_TOOLBOXES'] ?? join(build, 'toolbox');

export interface Agent extends Disposable {
  readonly kernel: Kernel;
  readonly deps: AgentDeps;
  readonly stateDirectory: string;
}

/** What an agent opens at its start, with the real toolbox (`make toolbox`) and program (`make -C native`). */
export function openAgent({
  enterFile = defaultEnter,
  toolboxes = toolboxDirectory,
  /** In which directory the agent keeps its own. */
  states = tmpdir(),
  /** Where the hierarchies that it uses are mounted. */
  cgroups = cgroupRoot,
} = {}): Agent {
  const stateDirectory = mkdtempSync(join(states, 'crashcart-it-state-'));
  const deps = openDeps(stateDirectory, enterFile, toolboxes, cgroups);
  const { kernel } = deps;
  return {
    kernel,
    deps,
    stateDirectory,
    [Symbol.dispose]: () => {
      deps[Symbol.dispose]();
      rmSync(stateDirectory, { recursive: true });
    },
  };
}

/** What a further agent of the same node opens. */
export const openDeps = (
  stateDirectory: string,
  enterFile = defaultEnter,
  toolboxes = toolboxDirectory,
  cgroups = cgroupRoot,
): AgentDeps & Disposable =>
  openProcessDeps({
    kernel: loadKernel(),
    enterFile,
    toolboxDirectory: toolboxes,
    cgroupRoot: cgroups,
    stateDirectory,
    log: silentLogger,
  });

let sessions = 0;

/** `rules` go before the profile's. */
export type Request = Partial<Omit<ProcessRequest, 'profile'>> & { readonly profile?: ProfileName };

/** A non-interactive `general` session of visibility Session, unless told otherwise. */
export function start(
  agent: Agent | Omit<Agent, keyof Disposable>,
  container: Pick<Container, 'target'>,
  request: Request,
): Promise<SessionProcess> {
  const uid = `session-${process.pid}-${++sessions}`;
  return startProcess(
    {
      uid,
      target: container.target,
      toolbox: 'default',
      profile: 'general',
      rules: shippedProfiles[request.profile ?? 'general'],
      tty: false,
      stdin: false,
      visibility: 'Session',
      env: { TERM: 'xterm', LANG: 'C.UTF-8' },
      ...request,
    },
    agent.deps,
  );
}

export interface Result {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
  readonly signal?: string;
}

/** Runs a command to its end, reads all it says, and takes it away; fails when something could not be taken away. */
export async function run(
  agent: Agent,
  container: Container,
  command: readonly string[],
  request: Request & { readonly input?: string | Uint8Array } = {},
): Promise<Result> {
  const { input, ...rest } = request;
  const session = await start(agent, container, { command, ...rest });
  if (input !== undefined) session.stdin?.end(input);
  const [stdout, stderr, exit] = await Promise.all([
    text(session.stdout),
    session.stderr ? text(session.stderr) : '',
    session.exited,
  ]);
  const { leftovers } = await session.cleanup();
  if (leftovers) throw new Error(`left behind: ${leftovers}`);
  return { stdout, stderr, ...exit };
}

export const shell = (script: string): readonly string[] => ['sh', '-c', script];

/** A processor made of software is slow: test/kernels asks for more. */
const patienceMs = 10_000 * Number(process.env['CRASHCART_TEST_PATIENCE'] ?? 1);

/** Types into a terminal and waits for what it shows. */
export class Typist {
  readonly #session: SessionProcess;
  #seen = '';

  constructor(session: SessionProcess) {
    this.#session = session;
    session.stdout.on('data', (chunk: Buffer) => {
      this.#seen += chunk.toString('latin1');
    });
  }

  type(keys: string): void {
    this.#session.stdin?.write(keys);
  }

  /** What was shown up to and with the first match, which is then forgotten. */
  async waitFor(pattern: RegExp): Promise<string> {
    for (const deadline = Date.now() + patienceMs; Date.now() < deadline; await sleep(2)) {
      const match = pattern.exec(this.#seen);
      if (!match) continue;
      const end = match.index + match[0].length;
      const shown = this.#seen.slice(0, end);
      this.#seen = this.#seen.slice(end);
      return shown;
    }
    throw new Error(`the terminal never showed ${pattern}; it showed ${JSON.stringify(this.#seen.slice(-2000))}`);
  }
}

export interface Traces {
  readonly hostMounts: string;
  readonly containerMounts: string;
  readonly containerDev: string;
  readonly cgroups: readonly string[];
  readonly descriptors: number;
  readonly containerProcesses: number;
}

/** Everything that a session could leave; two that were taken before and after must be equal. */
export function traces(container: Container): Traces {
  return {
    hostMounts: readFileSync('/proc/self/mountinfo', 'utf8'),
    containerMounts: container.mountinfo(),
    containerDev: listDev(container),
    cgroups: cgroupDirectories(`${testCgroup}/crashcart`).flatMap((directory) => sessionsIn(directory)),
    descriptors: readdirSync('/proc/self/fd').length,
    containerProcesses: processesOf(container.target.pid),
  };
}

const sessionsIn = (directory: string): string[] =>
  readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [join(directory, entry.name)] : [],
  );

function listDev(container: Container): string {
  try {
    return readdirSync(`/proc/${container.target.pid}/root/dev`).sort().join(' ');
  } catch {
    return 'none';
  }
}

/** Those of the machine that are in a namespace of the container's own that every session joins. */
function processesOf(pid: number): number {
  const own = (['net', 'ipc'] as const).find((name) => namespaceOf(pid, name) !== namespaceOf('self', name));
  if (own === undefined) return 0; // the cgroup of a session is all that tells its processes from the machine's
  const wanted = namespaceOf(pid, own);
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name) && namespaceOf(Number(name), own) === wanted).length;
}
