/** A node that is made to suffer: a real containerd with one container, the bundled agent behind a real tunnel. */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildBundle, programs } from '../../../builder/bundle/bundles.ts';
import { shippedProfiles } from '../../../src/api/profile-rules.ts';
import type { AgentLink } from '../../../src/gateway/agent-link.ts';
import { findCgroups, listCgroups, listProcesses } from '../../../src/linux/cgroup.ts';
import { namespaceOf } from '../../../src/linux/namespaces.ts';
import { connectCri } from '../../../src/node-agent/cri/cri.ts';
import { parseRuntimeInfo } from '../../../src/node-agent/target/runtime-spec.ts';
import type { DesiredSession } from '../../../src/wire/agent-protocol.ts';
import { type AgentProcess, launchAgent } from '../../support/agent-process.ts';
import { type RunningContainer, startContainerd } from '../../support/containerd/containerd.ts';
import { eventually } from '../../support/eventually.ts';
import { startLoopback } from '../../support/gateway-loopback.ts';
import { cgroupRoot } from '../cgroups.ts';
import { toolboxDirectory } from '../session.ts';
import type { PlannedSession, Random } from './plan.ts';

const project = join(import.meta.dirname, '../../..');
const node = 'node-1';

/** The container that the sessions are in, and what it looked like before any of them. */
interface Target {
  readonly running: RunningContainer;
  readonly pid: number;
  readonly podUid: string;
  readonly mounts: string;
  readonly dev: string;
  /** All that share its pid namespace: the pod's pause program is the first of them. */
  readonly processes: readonly number[];
}

export type KillNode = Awaited<ReturnType<typeof startKillNode>>;

export async function startKillNode() {
  execFileSync('make', ['-C', join(project, 'native')], { stdio: 'ignore' });
  await buildBundle(programs.agent);
  const directory = mkdtempSync(join(tmpdir(), 'crashcart-kill-'));
  // In memory, so that there is a loop device that could stay: erofs mounts no file of a tmpfs.
  const toolboxes = join(directory, 'toolboxes');
  mkdirSync(toolboxes);
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', toolboxes]);
  copyFileSync(join(toolboxDirectory, 'default.erofs'), join(toolboxes, 'default.erofs'));
  writeFileSync(join(directory, 'token'), node);
  const state = join(directory, 'state');
  const containerd = await startContainerd();
  const gateway = await startLoopback({ agent: false });
  const cri = connectCri(containerd.socket);
  const cgroups = findCgroups(cgroupRoot);
  const hostMounts = toolboxMounts();
  let target = await startTarget();
  let agent: AgentProcess | undefined;
  const agents = new Set<AgentProcess>();
  /** The instance that was ended last: its link may be there for a moment longer. */
  let gone: string | undefined;

  async function startTarget(): Promise<Target> {
    const podUid = randomUUID();
    const running = await containerd.runContainer({ uid: podUid, image: 'distroless' });
    const answer = await cri.containerStatus(running.id.replace('containerd://', ''));
    const { pid } = parseRuntimeInfo(answer?.info['info']);
    return { running, pid, podUid, mounts: mountsOf(pid), dev: devOf(pid), processes: processesIn(pid) };
  }

  async function launch(): Promise<AgentProcess> {
    const tokenFile = join(directory, 'token');
    const launched = await launchAgent({ criSocket: containerd.socket, toolboxes, state, gateway, tokenFile });
    agents.add(launched);
    void launched.exited.then(() => agents.delete(launched));
    return launched;
  }

  /** Once a gateway has its list of sessions. */
  async function connected(): Promise<AgentLink> {
    return eventually(
      () => {
        const link = gateway.registry.get(node);
        if (link?.sessions() === undefined || link.instance === gone)
          throw new Error(`the agent has not dialled; its log ends with:\n${agent?.log().slice(-2000)}`);
        return link;
      },
      20_000,
      5,
    );
  }

  return {
    link: () => gateway.registry.get(node),
    target: () => target,
    alive: () => agent !== undefined && agents.has(agent),
    log: () => agent?.log() ?? '',

    /** Starts an agent where there is none, and waits until it is connected. */
    agent: async (): Promise<AgentLink> => {
      if (agent === undefined || !agents.has(agent)) agent = await launch();
      return connected();
    },
    killAgent: async (signal: NodeJS.Signals): Promise<void> => {
      gone = gateway.registry.get(node)?.instance ?? gone;
      agent?.process.kill(signal);
      await agent?.exited;
    },
    /** The newer one waits until the older one is gone. */
    overtake: async (): Promise<void> => {
      const older = agent;
      const newer = await launch();
      if (older !== undefined && agents.has(older))
        await eventually(() => {
          if (!newer.log().includes('standing by')) throw new Error(`it does not stand by:\n${newer.log()}`);
        });
      gone = gateway.registry.get(node)?.instance ?? gone;
      older?.process.kill('SIGKILL');
      await older?.exited;
      agent = newer;
    },
    /** Its uid. An agent that is struck meanwhile answers no order: that is no failure of it. */
    order: (link: AgentLink, session: PlannedSession): string => {
      const wanted = desired(target, session);
      void link.put(wanted).catch(() => undefined);
      return wanted.uid;
    },
    supervisors: () => listProcesses(cgroups, `${containerd.cgroup}/crashcart/_supervisors`),
    /** Of the sessions, as the kernel lists them. */
    commands: () => sessionNames().flatMap((name) => listProcesses(cgroups, `${containerd.cgroup}/crashcart/${name}`)),
    killContainer: () => endTarget(),
    crashContainerd: () => containerd.crash(),

    /** A pod in place of one whose container has ended. */
    renewTarget: async (): Promise<void> => {
      if (isThere(target.pid)) return;
      await target.running.removePod();
      target = await startTarget();
    },
    /** As when the power goes: nothing that ran is there any more. */
    endEverything: async (): Promise<void> => {
      for (const pid of listProcesses(cgroups, `${containerd.cgroup}/crashcart`)) killIfThere(pid);
      await endTarget();
    },
    /** Files that were being written, beside those that are there. */
    leaveUnfinished: (random: Random): void => {
      for (const file of filesOf(state)) {
        const content = readFileSync(file);
        writeFileSync(`${file}.new`, content.subarray(0, Math.floor(random() * content.length)));
      }
      mkdirSync(join(state, 'placements'), { recursive: true });
      writeFileSync(join(state, 'placements', `${'f'.repeat(64)}.json.new`), '{"containerId":"ff');
    },
    tearFiles: (random: Random): void => {
      for (const file of filesOf(state)) {
        const content = readFileSync(file);
        writeFileSync(file, content.subarray(0, Math.floor(random() * content.length)));
      }
    },

    /** A line for each thing that a node without sessions has not. */
    leftovers: (): string[] => [
      ...toolboxMounts()
        .filter((line) => !hostMounts.includes(line))
        .map((line) => `mount on the node: ${line}`),
      ...differs("the container's mounts", target.mounts, mountsOf(target.pid)),
      ...differs("the container's /dev", target.dev, devOf(target.pid)),
      ...sessionNames().map((name) => `cgroup ${name}`),
      ...listProcesses(cgroups, `${containerd.cgroup}/crashcart`).map(
        (pid) => `process ${pid} in the sessions' cgroup`,
      ),
      ...processesIn(target.pid)
        .filter((pid) => !target.processes.includes(pid))
        .map((pid) => `process ${pid} in the container`),
      ...placementFiles(state).map((name) => `file ${name}`),
      ...loopDevices(toolboxes).slice(agent !== undefined && agents.has(agent) ? 1 : 0),
    ],

    [Symbol.asyncDispose]: async (): Promise<void> => {
      for (const each of agents) {
        each.process.kill('SIGKILL');
        await each.exited;
      }
      cri[Symbol.dispose]();
      await gateway.stop();
      await containerd[Symbol.asyncDispose]();
      execFileSync('umount', [toolboxes]);
      rmSync(directory, { recursive: true, force: true });
    },
  };

  async function endTarget(): Promise<void> {
    killIfThere(target.pid);
    await eventually(() => {
      if (isThere(target.pid)) throw new Error('the container does not end');
    });
  }

  function sessionNames(): readonly string[] {
    return listCgroups(cgroups, `${containerd.cgroup}/crashcart`);
  }
}

const desired = ({ running, podUid }: Target, session: PlannedSession): DesiredSession => {
  const uid = randomUUID();
  return {
    uid,
    namespace: 'default',
    name: `session-${uid}`,
    pod: { name: podUid, uid: podUid },
    container: { name: 'main', id: running.id },
    toolbox: 'default',
    profile: 'general',
    rules: shippedProfiles.general,
    stdin: false,
    maxDurationMs: 600_000,
    idleTimeoutMs: 600_000,
    ...session,
  };
};

/** On the node itself; what others mount and unmount there meanwhile is theirs. */
const toolboxMounts = (): string[] =>
  mountsOf('self')
    .split('\n')
    .filter((line) => /\/dev\/crashcart| - erofs /.test(line));

const isThere = (pid: number): boolean => existsSync(`/proc/${pid}/root/dev`);
const mountsOf = (pid: number | 'self'): string => readFileSync(`/proc/${pid}/mountinfo`, 'utf8');
const devOf = (pid: number): string => readdirSync(`/proc/${pid}/root/dev`).sort().join(' ');

const differs = (what: string, before: string, now: string): string[] =>
  before === now
    ? []
    : [
        `${what}: ${
          now
            .split('\n')
            .filter((line) => !before.includes(line))
            .join('; ') || 'fewer than before'
        }`,
      ];

/** In the pid namespace of a process, but for what has ended and waits to be reaped. */
function processesIn(target: number): number[] {
  const namespace = namespaceOf(target, 'pid');
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => namespaceOf(pid, 'pid') === namespace && !isZombie(pid));
}

function isZombie(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return true;
  }
}

const filesOf = (state: string): string[] => [
  ...['cgroups'].map((name) => join(state, name)).filter((file) => existsSync(file)),
  ...placementFiles(state).filter((file) => file.endsWith('.json')),
];

function placementFiles(state: string): string[] {
  const place = join(state, 'placements');
  return existsSync(place) ? readdirSync(place).map((name) => join(place, name)) : [];
}

const loopDevices = (directory: string): string[] =>
  readdirSync('/sys/block').flatMap((name) => {
    const file = `/sys/block/${name}/loop/backing_file`;
    if (!existsSync(file)) return [];
    const backing = readFileSync(file, 'utf8').trim();
    return backing.startsWith(directory) ? [`${name} of ${backing}`] : [];
  });

export function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
