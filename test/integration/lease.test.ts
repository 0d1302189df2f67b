import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { closeAll } from '../../src/linux/kernel.ts';
import { sessionsCgroup } from '../../src/node-agent/session/cgroup-path.ts';
import { sweepLeftovers } from '../../src/node-agent/session/sweep.ts';
import { takeOver } from '../../src/node-agent/session/takeover.ts';
import { type Container, startContainer } from './container.ts';
import type { LoneAgent } from './lone-agent.ts';
import { type Agent, defaultEnter, openAgent, openDeps, run, shell, start, traces } from './session.ts';

// A session whose agent never comes back: it goes on until its lease is over, and nobody has to do anything.
const native = join(import.meta.dirname, '../../native');
const forgetful = join(import.meta.dirname, '../../build/test/forgetful');
const leaseMs = 4_000;

let agent: Agent;
let container: Container;
beforeAll(async () => {
  execFileSync('make', ['-s', '-C', native, 'REMEMBER_SECONDS=1', `OUT=${forgetful}`, `${forgetful}/crashcart-enter`]);
  agent = openAgent();
  container = await startContainer(agent.kernel);
  await run(agent, container, ['true']);
});
afterAll(async () => {
  await container?.[Symbol.asyncDispose]();
  agent?.[Symbol.dispose]();
});

const stateOf = (pid: number): string =>
  existsSync(`/proc/${pid}`) ? (/^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 'X') : 'X';
const isAlive = (pid: number): boolean => !'ZX'.includes(stateOf(pid));

/** Starts a session and is killed at once; the command's and the supervisor's pid. */
async function abandoned(enterFile: string): Promise<{ readonly command: number; readonly supervisor: number }> {
  const { pidfd: _, ...target } = container.target;
  const { stateDirectory } = agent;
  const survival = { record: 'abandoned', leaseMs };
  const request = { visibility: 'Container', command: shell('sleep 1000 & sleep 1000'), survival } as const;
  const lone: LoneAgent = { stateDirectory, enterFile, target, request };
  const child: ChildProcess = spawn(
    process.execPath,
    [join(import.meta.dirname, 'lone-agent.ts'), JSON.stringify(lone)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const exited = once(child, 'exit');
  const [said] = await once(child.stdout!, 'data');
  child.kill('SIGKILL');
  await exited;
  const command = Number(String(said));
  const supervisor = Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${command}/status`, 'utf8'))?.[1]);
  return { command, supervisor };
}

it('ends a session that no agent came for, and the one that comes then is told how', async () => {
  const before = traces(container);
  const startedMs = Date.now();
  const { command, supervisor } = await abandoned(defaultEnter);
  expect(isAlive(command)).toBe(true);
  await vi.waitFor(() => expect(isAlive(command)).toBe(false), { timeout: leaseMs + 10_000, interval: 20 });
  expect(Date.now() - startedMs).toBeGreaterThan(leaseMs);
  expect(isAlive(supervisor), 'it remembers').toBe(true);
  using later = openDeps(agent.stateDirectory);
  const taken = takeOver(later, supervisor);
  expect(taken?.record).toBe('abandoned');
  expect(await taken?.process.exited).toMatchObject({ code: 137, signal: 'SIGKILL', leaseOver: true });
  expect(await taken?.process.cleanup()).toEqual({});
  closeAll(later.kernel, taken?.target);
  expect(isAlive(supervisor)).toBe(false);
  later[Symbol.dispose]();
  await vi.waitFor(() => expect(traces(container)).toEqual(before), { timeout: 5_000 });
});

it('ends the supervisor too when nobody asks, and the next agent sweeps up what is left', async () => {
  const before = traces(container);
  const { command, supervisor } = await abandoned(join(forgetful, 'crashcart-enter'));
  await vi.waitFor(() => expect([command, supervisor].filter(isAlive)).toEqual([]), {
    timeout: leaseMs + 12_000,
    interval: 20,
  });
  {
    using later = openDeps(agent.stateDirectory);
    const parents = [sessionsCgroup(container.target.spec.cgroupsPath)];
    const swept = await sweepLeftovers({ ...later, stateDirectory: agent.stateDirectory }, parents, {
      has: () => false,
    });
    expect(swept).toEqual({ cgroups: 1, placements: 1, leftovers: [] });
  }
  expect(traces(container).containerMounts).toBe(before.containerMounts);
  expect(traces(container).hostMounts).toBe(before.hostMounts);
});

it('goes on for as long as its agent asks for it', async () => {
  const survival = { record: 'renewed', leaseMs: 1_000 };
  await using session = await start(agent, container, { command: shell('sleep 1000'), survival });
  for (let round = 0; round < 10; round++) {
    await sleep(300);
    session.renew(1_000);
  }
  expect(isAlive(session.pid)).toBe(true);
  expect(await session.exited).toMatchObject({ code: 137, leaseOver: true });
  expect(await session.cleanup()).toEqual({});
});
