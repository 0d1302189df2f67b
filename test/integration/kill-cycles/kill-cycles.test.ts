import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { AgentLink } from '../../../src/gateway/agent-link.ts';
import { eventually } from '../../support/eventually.ts';
import { type KillNode, killIfThere, startKillNode } from './kill-node.ts';
import { type Plan, planOf, type Random, randomOf, type Victim } from './plan.ts';

/** 30 with the other tests, 1,000 by `make kill-cycles`. CRASHCART_KILL_SEED and CRASHCART_KILL_FIRST repeat a cycle that failed. */
const cycles = Number(process.env['CRASHCART_KILL_CYCLES'] ?? 30);
const first = Number(process.env['CRASHCART_KILL_FIRST'] ?? 0);
const seed = Number(process.env['CRASHCART_KILL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const settledWithinMs = 20_000;

let node: KillNode;
beforeAll(async () => {
  node = await startKillNode();
});
afterAll(async () => {
  await node?.[Symbol.asyncDispose]();
});

const pick = <T>(of: readonly T[], random: Random): T | undefined => of[Math.floor(random() * of.length)];

const strike: Readonly<Record<Victim, (random: Random) => Promise<void> | void>> = {
  agent: () => node.killAgent('SIGKILL'),
  'agent by SIGTERM': () => node.killAgent('SIGTERM'),
  takeover: () => node.overtake(),
  supervisor: (random) => killIfAny(node.supervisors(), random),
  command: (random) => killIfAny(node.commands(), random),
  container: () => node.killContainer(),
  containerd: () => node.crashContainerd(),
};

function killIfAny(pids: readonly number[], random: Random): void {
  const pid = pick(pids, random);
  if (pid !== undefined) killIfThere(pid);
}

/** Uids of those sessions that ran when nothing had been struck yet, and would run for ever. */
async function order(plan: Plan, link: AgentLink): Promise<readonly string[]> {
  const lasting = plan.sessions.flatMap((session) => {
    const uid = node.order(link, session);
    return session.command.join(' ').endsWith('sleep 1000') ? [uid] : [];
  });
  await sleep(plan.strikeAfterMs);
  return lasting.filter((uid) => link.sessions()?.get(uid)?.phase === 'Running');
}

/** Only the agent itself was hit: then nothing that ran may be lost. */
const spares = ({ strikes, journal }: Plan): boolean =>
  journal !== 'torn' &&
  strikes.every(({ victim }) => victim === 'agent' || victim === 'takeover' || victim === 'containerd');

async function cycle(plan: Plan, random: Random): Promise<void> {
  const ran = await order(plan, await node.agent());
  for (const { victim, thenMs } of plan.strikes) {
    await strike[victim](random);
    await sleep(thenMs);
  }
  if (plan.journal !== 'whole') await node.killAgent('SIGKILL');
  if (plan.journal === 'unfinished') node.leaveUnfinished(random);
  if (plan.journal === 'torn') {
    await node.endEverything();
    node.tearFiles(random);
  }
  await node.renewTarget();
  const link = await node.agent();
  if (spares(plan) && ran.length > 0) {
    // Until the agent has told what it did with them.
    await sleep(300);
    for (const uid of ran) expect([uid, link.sessions()?.get(uid)?.phase]).toEqual([uid, 'Running']);
  }
  for (const uid of link.sessions()?.keys() ?? []) await link.remove(uid, 'Deleted').catch(() => undefined);
  await eventually(() => expect(node.leftovers()).toEqual([]), settledWithinMs, 20);
}

it(
  `leaves nothing on a node after ${cycles} cycles with kills at any moment (seed ${seed})`,
  async () => {
    console.log(`kill cycles ${first} to ${first + cycles - 1} of seed ${seed}`);
    const began = performance.now();
    for (let at = first; at < first + cycles; at++) {
      const plan = planOf(seed, at);
      try {
        await cycle(plan, randomOf(seed - at));
      } catch (error) {
        const how = `CRASHCART_KILL_SEED=${seed} CRASHCART_KILL_FIRST=${at} CRASHCART_KILL_CYCLES=1`;
        throw new Error(`cycle ${at} (${how}), ${JSON.stringify(plan)}\n${node.log().slice(-3000)}`, { cause: error });
      }
    }
    await node.killAgent('SIGTERM');
    await eventually(() => expect(node.leftovers()).toEqual([]), settledWithinMs, 20);
    console.log(`${cycles} cycles in ${Math.round((performance.now() - began) / 1000)} s left nothing`);
  },
  60_000 + cycles * 10_000,
);
