import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sessionsCgroup } from '../../../src/node-agent/session/cgroup-path.ts';
import { sweepLeftovers } from '../../../src/node-agent/session/sweep.ts';
import { testCgroup } from '../cgroups.ts';
import { type Container, startContainer } from '../container.ts';
import { type Agent, openAgent, start, traces } from '../session.ts';
import { crashcartProgram, startNode, type TestNode } from './test-node.ts';

const project = join(import.meta.dirname, '../../..');

let agent: Agent;
let node: TestNode;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  execFileSync(process.execPath, [join(project, 'builder/main.ts'), 'node-cli'], { stdio: 'ignore' });
  execFileSync(process.execPath, [join(project, 'builder/main.ts'), 'toolbox'], { stdio: 'ignore' });
  agent = stack.use(openAgent());
  // The agent's containers have the pids of this machine.
  node = stack.use(await startNode({ ownPids: false }));
}, 120_000);
afterAll(() => stack.disposeAsync());

const pid = (container: Container): string => `${container.target.pid}`;
/** But for the descriptors of this process, which has a terminal of its own here. */
const left = (container: Container): object => ({ ...traces(container), descriptors: 0 });
const toolboxIn = (container: Container): boolean => container.mountinfo().includes(' /dev/crashcart ');

it('neither the node agent nor crashcart sweeps up what the other has', async () => {
  await using one = await startContainer(agent.kernel);
  await using two = await startContainer(agent.kernel);
  await using three = await startContainer(agent.kernel);
  const before = [one, two, three].map(left);

  using terminal = node.terminal(crashcartProgram, [pid(one)]);
  await terminal.expect(/# $/);
  await node.crashcart(['-m', pid(two)]);
  // What an agent does at its start, for pods in each place where its sessions may be.
  for (const near of [`${testCgroup}/kubepods/pod`, '/kubepods/pod', 'kubepods-pod.slice:cri-containerd:x'])
    await sweepLeftovers({ ...agent.deps, stateDirectory: agent.stateDirectory }, [sessionsCgroup(near)], {
      has: () => false,
    });
  terminal.enter('echo still $((40 + 2))');
  await terminal.expect(/still 42/);
  expect([one, two].map(toolboxIn)).toEqual([true, true]);

  const session = await start(agent, three, { command: ['sleep', '1000'], visibility: 'Container' });
  const { stdout } = await node.crashcart(['ps']);
  expect(stdout).toMatch(/node agent +- +(sleep|busybox)\(\d+\)/);
  expect(toolboxIn(three)).toBe(true);
  for (const flag of ['-m', '-u'])
    expect(await node.crashcart([flag, pid(three)])).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/\/dev\/crashcart/),
    });
  // And the other way round.
  await expect(start(agent, two, { command: ['true'] })).rejects.toThrow(/a mount of another file system/);

  expect(await session.cleanup()).toEqual({});
  terminal.enter('exit');
  expect(await terminal.exit()).toBe(0);
  expect(await node.crashcart(['-u', pid(two)])).toMatchObject({ code: 0 });
  expect([one, two, three].map(left)).toEqual(before);
});
