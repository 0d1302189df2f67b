import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type ContainerOptions, defaultCapabilities, startContainer } from '../container.ts';
import { type Agent, openAgent, type Request, run, shell, start } from '../session.ts';
import { type Mode, sessions, startAttack } from './attack.ts';

// Each defence of crashcart-enter is switched off once, in a program of its own: an attack has to notice. With all of them on, none may.
vi.setConfig({ testTimeout: 60_000 });

const native = join(import.meta.dirname, '../../../native');
const built = join(import.meta.dirname, '../../../build/test/without');

const tracer: ContainerOptions = { capabilities: [...defaultCapabilities, 'CAP_SYS_PTRACE'] };

/** Rounds of sessions beside a hostile program; what it got, and with `refusals` what became of sessions that were no concern of it. */
const beside =
  (mode: Mode, options: ContainerOptions, rounds: number, request: Request, refusals?: RegExp) =>
  async (agent: Agent): Promise<readonly string[]> => {
    await using attack = await startAttack(agent, [mode, '/tmp/attack'], options);
    const { refused } = await sessions(agent, attack.container, rounds, () => request);
    const { hits } = await attack.stop();
    // By whom the waiting program can be traced, by those its file can be named: it is sealed.
    const expected = options === tracer ? /^hit exe-of-crashcart-enter/ : /^$/;
    return [...hits.filter((hit) => !expected.test(hit)), ...refused.filter((why) => refusals?.test(why))];
  };

/** The agent looks at every process from outside before it runs: what crashcart-enter did not drop is found there. */
const anySession =
  (options: ContainerOptions = {}) =>
  async (agent: Agent): Promise<readonly string[]> => {
    await using container = await startContainer(agent.kernel, options);
    return (await sessions(agent, container, 5, () => ({}))).refused;
  };

const asTheUser = beside('watch', { uid: 1000, gid: 1000, capabilities: [] }, 30, { profile: 'restricted' });
const traced = beside('watch', tracer, 30, { profile: 'baseline' });
const spokenFor = beside('speak', tracer, 30, { profile: 'baseline' }, /said-by-the-container/);

/** A link to a directory beside it, on the same file system: nothing but the link tells it from what should be there. */
async function followed({ kernel, deps }: Agent): Promise<readonly string[]> {
  await using container = await startContainer(kernel);
  const dev = `/proc/${container.target.pid}/root/dev`;
  mkdirSync(`${dev}/aim`);
  symlinkSync('aim', `${dev}/crashcart`);
  const clone = deps.toolboxes.clone('default');
  const placement = await deps.placements.acquire(container.target, 'default', clone).catch(() => undefined);
  const elsewhere = container.mountinfo().includes(' /dev/aim ');
  await placement?.release();
  return elsewhere ? ['the toolbox stands where a link of the container leads'] : [];
}

/** Two directories change places all the time: between the opening of one and the mount on it there is time enough. */
async function swapped({ kernel, deps }: Agent): Promise<readonly string[]> {
  await using attack = await startAttack({ kernel }, ['swap', '/tmp/attack']);
  const { target, mountinfo } = attack.container;
  for (let round = 0; round < 100; round++) {
    const placement = await deps.placements
      .acquire(target, 'default', deps.toolboxes.clone('default'))
      .catch(() => undefined);
    const elsewhere = mountinfo().includes(' /dev/other ');
    const left = await placement?.release();
    if (elsewhere) return ['the toolbox stands in another directory'];
    if (left?.leftovers) return [left.leftovers];
  }
  return [];
}

/** A toolbox for the session alone, in a container whose mounts go to all its peers. */
async function seenOutside(agent: Agent): Promise<readonly string[]> {
  await using container = await startContainer(agent.kernel, { dev: 'shared' });
  const before = container.mountinfo();
  await run(agent, container, ['true']);
  await using _running = await start(agent, container, { command: ['sleep', '100'] });
  return container.mountinfo() === before ? [] : ['the container sees the session’s mounts'];
}

async function hidesFiles(agent: Agent): Promise<readonly string[]> {
  await using container = await startContainer(agent.kernel);
  mkdirSync(`/proc/${container.target.pid}/root/dev/crashcart`);
  writeFileSync(`/proc/${container.target.pid}/root/dev/crashcart/mine`, 'mine');
  const { ran } = await sessions(agent, container, 2, () => ({}));
  return ran === 0 ? [] : ['the container’s own directory was hidden'];
}

async function outlivesSupervisor(agent: Agent): Promise<readonly string[]> {
  await using container = await startContainer(agent.kernel);
  await using session = await start(agent, container, { command: shell('echo up; sleep 100') });
  await once(session.stdout, 'data');
  const status = (): string => readFileSync(`/proc/${session.pid}/status`, 'utf8');
  process.kill(Number(/^PPid:\s+(\d+)$/m.exec(status())?.[1]), 'SIGKILL');
  for (const deadline = Date.now() + 3_000; Date.now() < deadline && /^State:\s+[^ZX]/m.test(status()); )
    await sleep(10);
  return /^State:\s+[ZX]/m.test(status()) ? [] : ['the command goes on without its supervisor'];
}

const attacks: Readonly<Record<string, (agent: Agent) => Promise<readonly string[]>>> = {
  UNDUMPABLE: asTheUser,
  LATE_FORK: traced,
  CLOSE_DESCRIPTORS: traced,
  OWN_VOICE: spokenFor,
  NO_SYMLINKS: followed,
  RECHECK: swapped,
  PRIVATE_MOUNTS: seenOutside,
  SLAVE_MOUNTS: seenOutside,
  OWN_FILES: hidesFiles,
  DEATH_SIGNAL: outlivesSupervisor,
  FILTERS: anySession(),
  GATE: anySession(),
  DROP_CAPABILITIES: anySession(),
  DROP_BOUNDING: anySession(),
  DROP_GROUPS: anySession({ uid: 1000, gid: 1000, groups: [2000] }),
  OWN_CGROUP: anySession(),
};

const programOf = (defence: string): string => join(built, defence, 'crashcart-enter');

beforeAll(() => {
  const names = Object.keys(attacks);
  const rules = [
    `all: ${names.join(' ')}`,
    `${names.join(' ')}:`,
    `\t$(MAKE) -C ${native} WITHOUT=$@ OUT=${built}/$@ ${built}/$@/crashcart-enter`,
  ];
  execFileSync('make', ['-sj2', '-f', '-', 'all'], {
    input: `${rules.join('\n')}\n`,
    stdio: ['pipe', 'ignore', 'inherit'],
    // What is off is off in every build, and there are many.
    env: { ...process.env, CFLAGS: '-O0 -w' },
  });
}, 300_000);

let whole: Agent;
beforeAll(() => {
  whole = openAgent();
});
afterAll(() => whole?.[Symbol.dispose]());

it('names every defence that can be switched off', () => {
  const [, names = ''] = /enum defence \{([^}]*)\}/.exec(readFileSync(join(native, 'enter.h'), 'utf8')) ?? [];
  const defences = names.split(',').map((name) => name.trim());
  expect(Object.keys(attacks).sort()).toEqual(defences.filter((name) => name !== '' && name !== 'NOTHING').sort());
});

it('with every defence nothing is noticed', async () => {
  for (const attack of new Set(Object.values(attacks))) expect(await attack(whole)).toEqual([]);
});

/** Some of them are races, which the attacker wins now and then, and on a quick machine less often. */
const tries = 10;

it.each(Object.entries(attacks))('without %s something is', async (defence, attack) => {
  using agent = openAgent({ enterFile: programOf(defence) });
  let noticed: readonly string[] = [];
  for (let at = 0; at < tries && noticed.length === 0; at++) noticed = await attack(agent);
  expect(noticed).not.toEqual([]);
});
