/** The short form of test/integration/shapes.test.ts, for processors made of software: the main shapes, a session of each kind. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Container, type ContainerOptions, startContainer } from '../integration/container.ts';
import { type Agent, openAgent, run, shell, start, Typist, traces } from '../integration/session.ts';

const hardened: ContainerOptions = {
  uid: 65_532,
  gid: 65_532,
  readonlyRoot: true,
  capabilities: [],
  noNewPrivileges: true,
};

const shapes: Readonly<Record<string, ContainerOptions>> = {
  'a distroless root container': {},
  'a hardened container': hardened,
  'a hardened container in a user namespace': { ...hardened, userNamespace: true },
  'a container with a read-only /dev': { readonlyRoot: true, dev: 'readonly' },
  'a container without /dev': { dev: 'none' },
  'a container that shares the pid namespace of the node': { hostPid: true },
  'a container with a cgroup namespace': { cgroupNamespace: true },
};

describe.each(Object.entries(shapes))('%s', (_name, options) => {
  let agent: Agent;
  let container: Container;
  beforeAll(async () => {
    agent = openAgent();
    container = await startContainer(agent.kernel, options);
    await run(agent, container, shell('exit 0')); // what is opened once is open now
  });
  afterAll(async () => {
    await container[Symbol.asyncDispose]();
    agent[Symbol.dispose]();
  });

  it.each(['Session', 'Container'] as const)(
    'gives a terminal with the tools, the exit code, and leaves nothing, visibility %s',
    async (visibility) => {
      const before = traces(container);
      const command = ['bash', '--norc', '-i'];
      await using session = await start(agent, container, { tty: true, visibility, command });
      const typist = new Typist(session);
      typist.type('tty; ip -o link show lo | wc -l; echo from $((40+2))\n');
      expect(await typist.waitFor(/from 42/)).toMatch(/\/dev\/pts\/0\r\n1\r\n/);
      typist.type('sleep 1000 & kill %1; wait; exit 7\n');
      expect(await session.exited).toEqual({ code: 7 });
      expect(await session.cleanup()).toEqual({});
      expect(traces(container)).toEqual(before);
    },
  );

  it('ends what a command left running, and leaves nothing', async () => {
    const before = traces(container);
    await using session = await start(agent, container, { command: shell('setsid sleep 1000 & exec sleep 1000') });
    await session.end();
    expect(await session.exited).toEqual({ code: 137, signal: 'SIGKILL' });
    expect(await session.cleanup()).toEqual({});
    expect(traces(container)).toEqual(before);
  });
});
