import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Container, type ContainerOptions, defaultCapabilities, startContainer } from './container.ts';
import { type Agent, openAgent, run, shell, start, Typist, traces } from './session.ts';

const hardened: ContainerOptions = {
  uid: 65_532,
  gid: 65_532,
  readonlyRoot: true,
  capabilities: [],
  noNewPrivileges: true,
};

const shapes: Readonly<Record<string, ContainerOptions>> = {
  'a distroless root container': {},
  'a 65532 container with a read-only root and no capability': hardened,
  'a container in a user namespace': { userNamespace: true },
  'a hardened container in a user namespace': { ...hardened, userNamespace: true },
  'a container with a read-only /dev': { readonlyRoot: true, dev: 'readonly' },
  'a container that shares the pid namespace of the node': { hostPid: true },
  'a container with all its groups': { uid: 1000, gid: 1000, groups: [2000, 3000], capabilities: defaultCapabilities },
};

describe.each(Object.entries(shapes))('%s', (_name, options) => {
  let agent: Agent;
  let container: Container;
  beforeAll(async () => {
    agent = openAgent();
    container = await startContainer(agent.kernel, options);
    await run(agent, container, shell('exit 0')); // what is opened once, such as the toolbox's superblock, is open now
  });
  afterAll(async () => {
    await container[Symbol.asyncDispose]();
    agent[Symbol.dispose]();
  });

  describe.each(['Session', 'Container'] as const)('with visibility %s', (visibility) => {
    it('gives a terminal with job control, its size, the exit code, and leaves nothing', async () => {
      const before = traces(container);
      await using session = await start(agent, container, {
        tty: true,
        visibility,
        command: ['bash', '--norc', '-i'],
        size: { width: 91, height: 27 },
      });
      const typist = new Typist(session);
      // Marks of pasting would stand in the midst of what is looked for.
      typist.type("bind 'set enable-bracketed-paste off'; PS1='ready> '\n");
      await typist.waitFor(/[\r\n]ready> /);
      typist.type('tty; stty size\n');
      expect(await typist.waitFor(/27 91\r\n/)).toContain('/dev/pts/0\r\n');
      session.resize({ width: 120, height: 40 });
      typist.type('stty size\n');
      await typist.waitFor(/40 120\r\n/);
      typist.type("sh -c 'echo begun $((40+2)); exec sleep 100'\n");
      await typist.waitFor(/begun 42/);
      typist.type('\x1a');
      await typist.waitFor(/Stopped/);
      typist.type('fg\n');
      await typist.waitFor(/fg\r\n.*sleep 100/);
      await sleep(100); // the shell says it before it hands over the terminal
      typist.type('\x03');
      await typist.waitFor(/\^C[\s\S]*ready> /);
      typist.type('exit 7\n');
      expect(await session.exited).toEqual({ code: 7 });
      expect(await session.cleanup()).toEqual({});
      expect(await session.cleanup()).toEqual({});
      expect(traces(container)).toEqual(before);
    });

    it('pipes a megabyte through, keeps stderr apart and ends at end of file', async () => {
      const before = traces(container);
      const input = randomBytes(1 << 20);
      const command = shell('echo aside >&2; sha256sum; echo reopened > /dev/stdout; exit 5');
      const result = await run(agent, container, command, { visibility, stdin: true, input });
      const sum = createHash('sha256').update(input).digest('hex');
      expect(result).toEqual({ stdout: `${sum}  -\nreopened\n`, stderr: 'aside\n', code: 5 });
      expect(traces(container)).toEqual(before);
    });

    it('ends by a signal with its number, and by a kill of the whole session', async () => {
      const before = traces(container);
      expect(await run(agent, container, shell('kill -TERM $$'), { visibility })).toMatchObject({
        code: 143,
        signal: 'SIGTERM',
      });
      await using session = await start(agent, container, { visibility, command: shell('sleep 1000 & sleep 1000') });
      await session.end();
      expect(await session.exited).toEqual({ code: 137, signal: 'SIGKILL' });
      expect(await session.cleanup()).toEqual({});
      expect(traces(container)).toEqual(before);
    });
  });

  it('runs as the user of the container, in its working directory, without its environment', async () => {
    const { user } = container.target.spec;
    const { stdout } = await run(
      agent,
      container,
      shell('id -u; id -g; id -G; pwd; env | grep SECRET || echo clean; echo $PATH'),
    );
    const [uid, gid, groups, ...rest] = stdout.trimEnd().split('\n');
    expect([uid, gid]).toEqual([`${user.uid}`, `${user.gid}`]);
    expect(groups!.split(' ').map(Number).sort()).toEqual([...new Set([user.gid, ...user.additionalGids])].sort());
    expect(rest).toEqual(['/', 'clean', '/dev/crashcart/bin:/dev/crashcart/sbin:/usr/bin:/bin']);
  });

  it('hands the command no descriptor but its standard streams', async () => {
    // ls opens the directory it reads as the next free one.
    expect((await run(agent, container, ['ls', '/proc/self/fd'])).stdout.split('\n').filter(Boolean)).toEqual([
      '0',
      '1',
      '2',
      '3',
    ]);
  });
});
