/** `make bench-enter`: the way into a container beside nsenter's, what placing costs, and what 200 sessions weigh. No cluster; two minutes. */
import { writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { findCgroups } from '../../src/linux/cgroup.ts';
import { cgroupRoot } from '../../test/integration/cgroups.ts';
import { type Container, startContainer } from '../../test/integration/container.ts';
import { type Agent, openAgent, run, shell, start } from '../../test/integration/session.ts';
import { summarize, table } from '../statistics.ts';
import { type Crowd, measureCrowd } from './crowd.ts';
import { nsenterToPrompt, sessionToPrompt } from './prompt.ts';

/** The contenders take turns, so that noise of the machine falls on all alike. */
const rounds = Number(process.env['ROUNDS'] ?? 100);
const sessions = Number(process.env['SESSIONS'] ?? 200);
const say = (text: string): void => void process.stderr.write(`${text}\n`);

async function main(): Promise<void> {
  const report = [heading(), await timesOf(), crowdTable(await crowd())].join('\n');
  process.stdout.write(report);
  writeFileSync(join(import.meta.dirname, '../../build/bench-enter.md'), report);
}

const heading = (): string =>
  `${cpus().length} × ${cpus()[0]?.model ?? 'cpu'}, Linux ${/^\d+\.\d+/.exec(release())?.[0]}. One run; the first row is the base of the ratios.\n`;

async function timesOf(): Promise<string> {
  // In memory, as on a node: an agent's state is below /run.
  using agent = openAgent({ states: '/run' });
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
    legacy.length > 0 && unified !== undefined ? openAgent({ states: '/run', cgroups: unified }) : undefined;
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
  const kb = (bytes: number): string => `${(bytes / 1024).toFixed(0)} KiB`;
  const supervisor = summarize(crowd.supervisorBytes);
  const each = (crowd.agentFullBytes - crowd.agentIdleBytes) / crowd.sessions;
  return [
    `### ${crowd.sessions} sessions on one node`,
    '',
    '| | |',
    '|---|---|',
    `| superblocks of the toolbox | ${crowd.superblocks} |`,
    `| memory of the agent (RSS), idle | ${mb(crowd.agentIdleBytes)} |`,
    `| with all of them | ${mb(crowd.agentFullBytes)}, ${kb(each)} each |`,
    `| after their end | ${mb(crowd.agentAfterBytes)} |`,
    `| private memory of a supervisor | median ${kb(supervisor.median)}, most ${kb(supervisor.p99)} |`,
    `| starting them one after another | ${crowd.seconds.toFixed(1)} s |`,
    '',
  ].join('\n');
}

await main();
