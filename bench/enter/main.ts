/** `make bench-enter`: the way into a container beside nsenter's, what placing costs, and what 200 sessions weigh. No cluster; four minutes. */
import { writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { findCgroups } from '../../src/linux/cgroup.ts';
import { cgroupRoot } from '../../test/integration/cgroups.ts';
import { type Container, startContainer } from '../../test/integration/container.ts';
import { type Agent, openAgent, run, shell, start } from '../../test/integration/session.ts';
import { summarize, table } from '../statistics.ts';
import { type Crowd, measureCrowd } from './crowd.ts';
import type { Memory } from './memory.ts';
import { nsenterToPrompt, sessionToPrompt } from './prompt.ts';

/** The contenders take turns, so that noise of the machine falls on all alike. */
const rounds = Number(process.env['ROUNDS'] ?? 100);
const sessions = Number(process.env['SESSIONS'] ?? 200);
/** As on a node, where an agent's state is below /run: here that may be a disk. */
const inMemory = '/dev/shm';
const say = (text: string): void => void process.stderr.write(`${text}\n`);

async function main(): Promise<void> {
  const report = [heading(), await timesOf(), crowdTable(await crowd())].join('\n');
  process.stdout.write(report);
  writeFileSync(join(import.meta.dirname, '../../build/bench-enter.md'), report);
}

const heading = (): string =>
  `${cpus().length} × ${cpus()[0]?.model ?? 'cpu'}, Linux ${/^\d+\.\d+/.exec(release())?.[0]}. One run; the first row is the base of the ratios.\n`;

async function timesOf(): Promise<string> {
  using agent = openAgent({ states: inMemory });
  await using container = await startContainer(agent.kernel);
  await run(agent, container, shell('exit 0')); // what is opened once is open now
  return `${await promptTable(agent, container)}\n${await placeTable(agent, container)}`;
}

async function promptTable(agent: Agent, container: Container): Promise<string> {
  // For nsenter, which brings no toolbox of its own.
  await using _toolbox = await start(agent, container, { visibility: 'Container', command: ['sleep', '100000'] });
  // On a node of today there are no hierarchies of v1, in each of which a move waits for some milliseconds: as if there were none.
  const { unified, legacy } = findCgroups(cgroupRoot);
  using modern =
    legacy.length > 0 && unified !== undefined ? openAgent({ states: inMemory, cgroups: unified }) : undefined;
  // Another agent's toolbox is not this one's: a container of its own.
  await using other = await startContainer(agent.kernel);
  if (modern) await run(modern, other, shell('exit 0'));
  const contenders: Readonly<Record<string, () => Promise<number>>> = {
    '`nsenter -a`, the toolbox already there': () => nsenterToPrompt(agent, container),
    'a session, visibility Session': () => sessionToPrompt(agent, container, 'Session'),
    'a session, visibility Container': () => sessionToPrompt(agent, container, 'Container'),
    ...(modern
      ? { 'a session, visibility Session, cgroup v2 alone': () => sessionToPrompt(modern, other, 'Session') }
      : {}),
  };
  const rows = new Map(Object.keys(contenders).map((name) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round++)
    for (const [name, measure] of Object.entries(contenders)) rows.get(name)?.push(await measure());
  say(`prompt: ${rounds} rounds`);
  return table('From a pid to the prompt of the same bash', 'ms', rows);
}

/** As the agent does it for visibility Container: journal, a process that enters the mount namespace, and the proof. */
async function placeTable(agent: Agent, container: Container): Promise<string> {
  const rows = new Map([
    ['place', [] as number[]],
    ['remove', [] as number[]],
  ]);
  for (let round = 0; round < rounds; round++) {
    const from = performance.now();
    const placement = await agent.deps.placements.acquire(
      container.target,
      'default',
      agent.deps.toolboxes.clone('default'),
    );
    const placed = performance.now();
    await placement.release();
    rows.get('place')?.push(placed - from);
    rows.get('remove')?.push(performance.now() - placed);
  }
  say(`place and remove: ${rounds} rounds`);
  return table('Placing the toolbox in a container, and taking it out', 'ms', rows);
}

async function crowd(): Promise<Crowd> {
  say(`${sessions} sessions under one agent ...`);
  return measureCrowd(sessions);
}

function crowdTable(crowd: Crowd): string {
  const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  const both = ({ resident, own }: Memory): string => `${mb(resident)} (${mb(own)})`;
  const kb = (bytes: number): string => `${(bytes / 1024).toFixed(0)} KiB`;
  const supervisor = summarize(crowd.supervisorBytes);
  const each = (crowd.agentFull.resident - crowd.agentIdle.resident) / crowd.sessions;
  return [
    `### ${crowd.sessions} sessions on one node`,
    '',
    '| | |',
    '|---|---|',
    `| superblocks of the toolbox | ${crowd.superblocks} |`,
    `| memory of the agent (RSS; in brackets what no file backs), just started | ${both(crowd.agentStarted)} |`,
    `| a minute later, idle | ${both(crowd.agentIdle)} |`,
    `| with all of them | ${both(crowd.agentFull)}; RSS of each ${kb(each)} |`,
    `| after their end | ${both(crowd.agentAfter)} |`,
    `| of an empty Node program | ${both(crowd.emptyNode)} |`,
    `| private memory of a supervisor | median ${kb(supervisor.median)}, most ${kb(supervisor.p99)} |`,
    `| starting them one after another | ${crowd.seconds.toFixed(1)} s |`,
    '',
  ].join('\n');
}

await main();
