/** Many sessions under one real agent: what they weigh. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildBundle, programs } from '../../builder/bundle/bundles.ts';
import { shippedProfiles } from '../../src/api/profile-rules.ts';
import type { AgentLink } from '../../src/gateway/agent-link.ts';
import { findCgroups, listProcesses } from '../../src/linux/cgroup.ts';
import { mountOf, parseMountinfo } from '../../src/linux/mountinfo.ts';
import type { DesiredSession } from '../../src/wire/agent-protocol.ts';
import { cgroupRoot } from '../../test/integration/cgroups.ts';
import { launchAgent } from '../../test/support/agent-process.ts';
import { type RunningContainer, startContainerd } from '../../test/support/containerd/containerd.ts';
import { eventually } from '../../test/support/eventually.ts';
import { startLoopback } from '../../test/support/gateway-loopback.ts';
import { type Memory, memoryOf, memoryOfEmptyNode } from './memory.ts';

export interface Crowd {
  readonly sessions: number;
  readonly agentStarted: Memory;
  /** A minute later: by then it has given back what only its start needed. */
  readonly agentIdle: Memory;
  readonly agentFull: Memory;
  /** After all of them have ended. */
  readonly agentAfter: Memory;
  readonly emptyNode: Memory;
  readonly superblocks: number;
  /** Private memory of each supervisor. */
  readonly supervisorBytes: readonly number[];
  /** To start them all, one after another. */
  readonly seconds: number;
}

/** A young process still collects what its start left behind. */
const settleMs = 3_000;
const idleMs = 60_000;

export async function measureCrowd(sessions: number): Promise<Crowd> {
  await buildBundle(programs.agent);
  const directory = mkdtempSync(join(tmpdir(), 'crashcart-bench-'));
  const tokenFile = join(directory, 'token');
  writeFileSync(tokenFile, 'node-1');
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const containerd = stack.use(await startContainerd());
  const container = await containerd.runContainer({ uid: 'crowd', image: 'distroless' });
  const gateway = await startLoopback({ agent: false });
  stack.defer(() => gateway.stop());
  const places = { criSocket: containerd.socket, state: join(directory, 'state'), gateway, tokenFile };
  const agent = await launchAgent(places);
  stack.defer(async () => {
    agent.process.kill('SIGTERM');
    await agent.exited;
  });
  const link = await eventually(() => {
    const found = gateway.registry.get('node-1');
    if (found?.sessions() === undefined) throw new Error(`the agent did not connect:\n${agent.log()}`);
    return found;
  });
  await sleep(settleMs);
  const agentStarted = memoryOf(agent.process.pid!);
  await sleep(idleMs);
  const agentIdle = memoryOf(agent.process.pid!);
  const from = performance.now();
  const uids = await startAll(link, container, sessions);
  const seconds = (performance.now() - from) / 1000;
  await sleep(settleMs);
  const cgroups = findCgroups(cgroupRoot);
  const within = `${containerd.cgroup}/crashcart`;
  const commands = uids.map((uid) => listProcesses(cgroups, `${within}/${uid}`)[0]!);
  const supervisors = listProcesses(cgroups, `${within}/_supervisors`);
  const crowd = {
    sessions,
    seconds,
    emptyNode: await memoryOfEmptyNode(),
    agentStarted,
    agentIdle,
    agentFull: memoryOf(agent.process.pid!),
    superblocks: new Set(commands.map(toolboxOf)).size,
    supervisorBytes: supervisors.map(privateBytes),
  };
  for (const uid of uids) await link.remove(uid, 'Deleted');
  await sleep(settleMs);
  return { ...crowd, agentAfter: memoryOf(agent.process.pid!) };
}

async function startAll(link: AgentLink, container: RunningContainer, sessions: number): Promise<readonly string[]> {
  const uids = Array.from({ length: sessions }, () => randomUUID());
  for (const uid of uids) {
    await link.put(desired(uid, container));
    await eventually(
      () => {
        const { phase, exit } = link.sessions()?.get(uid) ?? {};
        if (phase !== 'Running') throw new Error(`session ${uid} is ${phase}: ${JSON.stringify(exit)}`);
      },
      20_000,
      2,
    );
  }
  return uids;
}

const desired = (uid: string, { id }: RunningContainer): DesiredSession => ({
  uid,
  namespace: 'default',
  name: `session-${uid}`,
  pod: { name: 'crowd', uid: 'crowd' },
  container: { name: 'main', id },
  toolbox: 'default',
  profile: 'general',
  rules: shippedProfiles.general,
  command: ['sleep', '100000'],
  tty: true,
  stdin: true,
  visibility: 'Session',
  maxDurationMs: 3_600_000,
  idleTimeoutMs: 3_600_000,
});

const toolboxOf = (pid: number): string | undefined =>
  mountOf(parseMountinfo(readFileSync(`/proc/${pid}/mountinfo`, 'utf8')), '/dev/crashcart')?.device;

/** What is this process's alone: of a static program, its stack, heap and written data. */
function privateBytes(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const sum = [...text.matchAll(/^Private_(?:Clean|Dirty|Hugetlb):\s+(\d+) kB/gm)].reduce(
    (total, [, kb]) => total + Number(kb),
    0,
  );
  return sum * 1024;
}
