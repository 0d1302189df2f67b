import type { Ended, Room } from './room.ts';
import type { Failure } from './start.ts';
import { works } from './works.ts';

/** Does all work that the toolbox has the commands for, one after the other. */
export async function doAll(
  room: Room,
  env: Readonly<Record<string, string>>,
  has: ReadonlySet<string>,
  name: string,
): Promise<{ done: string[]; failures: Failure[] }> {
  const done: string[] = [];
  const failures: Failure[] = [];
  for (const work of works) {
    if (!work.takes.every((command) => has.has(command))) continue;
    const ended = await room.run(['/dev/crashcart/bin/bash', '-c', work.script], {
      timeoutMs: 20_000,
      ...work.options,
      env: { ...env, ...work.options?.env },
    });
    const output = `${ended.stdout}\n${ended.stderr}`;
    if (work.expect.test(output)) done.push(work.name);
    else failures.push({ command: work.name, environment: name, problem: told(ended) });
  }
  return { done, failures };
}

const told = ({ code, signal, timedOut, stdout, stderr }: Ended): string =>
  `${timedOut ? 'took too long' : signal ? `ended by ${signal}` : `exit code ${code}`}: ${`${stderr.trim()} ${stdout.trim()}`.replace(/\s+/g, ' ').slice(-400)}`;
