/** A hostile program in a container, sessions beside it, and what it got. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileStatic } from '../../support/compile.ts';
import { type Container, type ContainerOptions, startContainer } from '../container.ts';
import { type Agent, type Request, start } from '../session.ts';

export type Mode = 'watch' | 'speak' | 'keys' | 'exchange' | 'swap' | 'shuffle' | 'kill' | 'exhaust';

export interface Attack extends AsyncDisposable {
  readonly container: Container;
  /** Ends the attacker; `hit …` lines, and how many processes of others it saw. */
  stop(): Promise<{ readonly hits: readonly string[]; readonly seen: number }>;
}

export async function startAttack(
  agent: Pick<Agent, 'kernel'>,
  args: readonly string[],
  options: ContainerOptions = {},
): Promise<Attack> {
  const container = await startContainer(agent.kernel, {
    ...options,
    args: ['/attacker', ...args],
    prepare: (rootfs) => {
      execFileSync('cp', [compileStatic(join(import.meta.dirname, 'attacker.c')), join(rootfs, 'attacker')]);
      options.prepare?.(rootfs);
    },
  });
  const file = join(`/proc/${container.target.pid}/root`, args[1]?.startsWith('/tmp/') ? args[1] : '/tmp/attack');
  const lines = (): string[] => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []);
  await until(() => lines().some((line) => /^(ready 0|exhausted)/.test(line)));
  return {
    container,
    stop: async () => {
      process.kill(container.target.pid, 'SIGTERM');
      const said = join(container.rootfs, file.slice(file.indexOf('/root/') + 6));
      const last = (): string[] => readFileSync(said, 'utf8').trim().split('\n');
      await until(() => last().some((line) => line.startsWith('seen ')));
      const all = last();
      return {
        hits: all.filter((line) => line.startsWith('hit ')),
        seen: Number(all.find((line) => line.startsWith('seen '))?.slice(5)),
      };
    },
    [Symbol.asyncDispose]: () => container[Symbol.asyncDispose](),
  };
}

export async function until(holds: () => boolean, withinMs = 30_000): Promise<void> {
  for (const deadline = Date.now() + withinMs; !holds(); await sleep(10))
    if (Date.now() > deadline) throw new Error('what was waited for never came');
}

/** Sessions one after another, some at a time; a session may be refused, but what it leaves is an error. How many ran and how many were refused. */
export async function sessions(
  agent: Agent,
  container: Container,
  count: number,
  request: (round: number) => Request,
): Promise<{ readonly ran: number; readonly refused: readonly string[] }> {
  const refused: string[] = [];
  let [next, ran] = [0, 0];
  const worker = async (): Promise<void> => {
    for (let round = next++; round < count; round = next++) {
      try {
        await using session = await start(agent, container, { command: ['true'], ...request(round) });
        session.stdout.resume();
        session.stdin?.write('hunter2\n');
        // Who may trace it may also stop it.
        await Promise.race([session.exited, sleep(2_000).then(() => session.end())]);
        const { leftovers } = await session.cleanup();
        if (leftovers) throw new Error(`left behind: ${leftovers}`);
        ran++;
      } catch (error) {
        if (!(error instanceof Error && 'reason' in error)) throw error;
        refused.push(`${String(error.reason)}: ${error.message} ${String(error.cause ?? '')}`);
      }
    }
  };
  await Promise.all([worker(), worker(), worker()]);
  return { ran, refused };
}
