import { once } from 'node:events';
import { mkdirSync, openSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CrashcartError, describe as inWords } from '../../src/base/errors.ts';
import { createCgroup } from '../../src/linux/cgroup.ts';
import { closeAll, type Fd } from '../../src/linux/kernel.ts';
import { mountOf, parseMountinfo } from '../../src/linux/mountinfo.ts';
import { readRecords } from '../../src/node-agent/mount/journal.ts';
import { sessionsCgroup } from '../../src/node-agent/session/cgroup-path.ts';
import { SessionMemory } from '../../src/node-agent/session/memory.ts';
import { superviseCommand } from '../../src/node-agent/session/supervised.ts';
import { sweepLeftovers } from '../../src/node-agent/session/sweep.ts';
import { testCgroup } from './cgroups.ts';
import { type Container, type ContainerOptions, startContainer } from './container.ts';
import { type Agent, openAgent, openDeps, run, shell, start, Typist, traces } from './session.ts';

let agent: Agent;
beforeAll(async () => {
  agent = openAgent();
  await using container = await startContainer(agent.kernel);
  await run(agent, container, shell('exit 0'));
});
afterAll(() => agent[Symbol.dispose]());

const both = ['Session', 'Container'] as const;

describe('a container with something of its own at /dev/crashcart', () => {
  const things = ['a file', 'a symbolic link', 'a directory that is not empty', 'a mount of another file system'];
  it.each(things.flatMap((what) => both.map((visibility) => [what, visibility] as const)))(
    'keeps %s, and a session of visibility %s is refused',
    async (what, visibility) => {
      await using container = await startContainer(agent.kernel);
      makeOwn(what, container);
      const before = traces(container);
      await expect(start(agent, container, { visibility, command: ['true'] })).rejects.toMatchObject({
        reason: 'MountPointOccupied',
        message: expect.stringContaining(what),
      });
      expect(traces(container)).toEqual(before);
    },
  );
});

function makeOwn(what: string, { target, mountTmpfs }: Container): void {
  const path = `/proc/${target.pid}/root/dev/crashcart`;
  if (what === 'a file') writeFileSync(path, 'mine');
  else if (what === 'a symbolic link') symlinkSync('/tmp', path);
  else if (what.startsWith('a directory')) mkdirSync(join(path, 'mine'), { recursive: true });
  else mountTmpfs('/dev/crashcart');
}

describe('a container without /dev', () => {
  const options: ContainerOptions = { dev: 'none' };
  it.each(both)('gets a shell on a terminal all the same, visibility %s', async (visibility) => {
    await using container = await startContainer(agent.kernel, options);
    const before = traces(container);
    expect(before.containerDev).toBe('none');
    const { stdout, code } = await run(agent, container, shell('tty; ls /; exit 3'), { visibility, tty: true });
    expect(stdout).toContain('/dev/pts/0');
    expect(stdout).toContain('workload');
    expect(code).toBe(3);
    expect(traces(container)).toEqual(before);
  });
});

describe('two sessions on one container', () => {
  it('both work, whatever their visibility, and the last one takes the toolbox away', async () => {
    await using container = await startContainer(agent.kernel);
    const before = traces(container);
    const visibilities = ['Container', 'Session', 'Container'] as const;
    const open = await Promise.all(
      visibilities.map((visibility) => start(agent, container, { visibility, tty: true, command: ['sh'] })),
    );
    for (const session of open) {
      const typist = new Typist(session);
      typist.type('ls /dev/crashcart/bin/busybox; echo ok $((40+2))\n');
      await typist.waitFor(/ok 42/);
    }
    expect(container.mountinfo()).toContain('/dev/crashcart');
    const [first, ...others] = open;
    await first!.cleanup();
    expect(container.mountinfo()).toContain('/dev/crashcart');
    for (const session of others) expect(await session.cleanup()).toEqual({});
    expect(traces(container)).toEqual(before);
  });
});

describe('a toolbox that is wanted while it is taken out', () => {
  it('is placed anew, and the journal knows of it', async () => {
    await using container = await startContainer(agent.kernel);
    const before = traces(container);
    const { placements, toolboxes } = agent.deps;
    const acquire = () => placements.acquire(container.target, 'default', toolboxes.clone('default'));
    let last = await acquire();
    for (let round = 0; round < 20; round++) {
      const left = last.release();
      await nextTurn(); // by then it is on its way out
      last = await acquire();
      expect(await left).toEqual({});
      expect(container.mountinfo()).toContain('/dev/crashcart');
      const journalled = readRecords(agent.stateDirectory).map(({ containerId }) => containerId);
      expect(journalled).toEqual([container.target.containerId]);
    }
    expect(await last.release()).toEqual({});
    expect(readRecords(agent.stateDirectory)).toEqual([]);
    expect(traces(container)).toEqual(before);
  });
});

describe('the end of the container', () => {
  it.each([
    ['of its own', { hostPid: false }],
    ['of the node', { hostPid: true }],
  ] as const)('ends its sessions, when its pid namespace is one %s', async (_whose, options) => {
    await using container = await startContainer(agent.kernel, options);
    await using session = await start(agent, container, { visibility: 'Container', tty: true, command: ['sh'] });
    const typist = new Typist(session);
    typist.type('echo up $((40+2))\n');
    await typist.waitFor(/up 42/);
    await container.kill();
    expect(await session.exited).toEqual({ code: 137, signal: 'SIGKILL', containerExited: true });
    expect(await session.cleanup()).toEqual({});
  });

  it.each(both)(
    'while it is being entered, visibility %s, is a refusal or the end of its session',
    async (visibility) => {
      await using other = await startContainer(agent.kernel);
      const before = traces(other);
      const became = new Map<string, number>();
      for (let round = 0; round < 20; round++) {
        await using container = await startContainer(agent.kernel);
        const starting = start(agent, container, { visibility, tty: round % 2 === 0, command: shell('sleep 100') });
        starting.catch(() => {}); // it is looked at below
        await sleep(round * 2);
        await container.kill();
        const end = await starting.then(
          async (session) => {
            const exit = await session.exited;
            expect(await session.cleanup()).toEqual({});
            return exit.containerExited ? 'ended' : `${exit.code}`;
          },
          (error: CrashcartError) => (error.reason === 'ContainerNotRunning' ? error.reason : inWords(error)),
        );
        became.set(end, (became.get(end) ?? 0) + 1);
      }
      expect([...became.keys()].filter((end) => end !== 'ended' && end !== 'ContainerNotRunning')).toEqual([]);
      expect(traces(other)).toEqual(before);
    },
  );

  it('before the start is a refusal', async () => {
    await using container = await startContainer(agent.kernel);
    await container.kill();
    await expect(start(agent, container, {})).rejects.toMatchObject({ reason: 'ContainerNotRunning' });
  });
});

describe('a command that cannot run', () => {
  it.each([
    [['no-such-command'], 127, 'crashcart: no-such-command: command not found\n'],
    [['/no/such/file'], 127, 'crashcart: /no/such/file: No such file or directory\n'],
    [['/etc/passwd'], 126, 'crashcart: /etc/passwd: Permission denied\n'],
    [['/tmp'], 126, 'crashcart: /tmp: is a directory\n'],
  ])('%j exits with %i and says so as a shell does', async (command, code, stderr) => {
    await using container = await startContainer(agent.kernel);
    expect(await run(agent, container, command)).toEqual({ stdout: '', stderr, code });
  });
});

describe('an unknown toolbox', () => {
  it('is refused by name, with the names that there are', async () => {
    await using container = await startContainer(agent.kernel);
    const before = traces(container);
    await expect(start(agent, container, { toolbox: 'other' })).rejects.toMatchObject({
      reason: 'ToolboxNotFound',
      message: expect.stringMatching(/^The node has no toolbox "other": it has .*\bdefault\b.*\.$/),
    });
    await expect(start(agent, container, { toolbox: '../default' })).rejects.toMatchObject({
      reason: 'ToolboxNotFound',
    });
    expect(traces(container)).toEqual(before);
  });
});

describe('a supervisor that is killed', () => {
  it('takes its command with it', async () => {
    await using container = await startContainer(agent.kernel);
    await using session = await start(agent, container, { command: shell('echo up; sleep 1000') });
    await once(session.stdout, 'data');
    const parent = /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${session.pid}/status`, 'utf8'))?.[1];
    process.kill(Number(parent), 'SIGKILL');
    expect(await session.exited).toEqual({ code: 137, signal: 'SIGKILL' });
    expect(await session.cleanup()).toEqual({});
    // Now it is an orphan of the node's first process (it came from the node's pid namespace), which may have reaped it already.
    expect(['Z', 'gone']).toContain(stateOf(session.pid));
  });
});

describe('a supervisor that finds no way to its home', () => {
  it('says why, and is no zombie afterwards', async () => {
    await using container = await startContainer(agent.kernel);
    const home = createCgroup(agent.deps.cgroups, `${testCgroup}/no-home`);
    // No v1 cgroup, so there is no file `tasks`.
    const nowhere = openSync('/', 'r') as Fd;
    using memory = SessionMemory.create(agent.kernel);
    const before = childrenOfOurs();
    const request = { descriptors: { home: home.unified }, homes: [nowhere], values: {}, command: ['true'] };
    try {
      const failing = superviseCommand(agent.deps, { target: container.target, memory }, request).then(
        ({ started, abandon }) => started.finally(abandon),
      );
      await expect(failing).rejects.toThrow('failed at "cgroup"');
      expect(childrenOfOurs()).toEqual(before);
    } finally {
      closeAll(agent.kernel, nowhere);
      home.close();
      home.remove();
    }
  });
});

const childrenOfOurs = (): readonly string[] =>
  readdirSync('/proc/self/task').flatMap((thread) =>
    readFileSync(`/proc/self/task/${thread}/children`, 'utf8').split(' ').filter(Boolean),
  );

function stateOf(pid: number): string {
  try {
    return /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 'unknown';
  } catch {
    return 'gone';
  }
}

describe('two hundred containers at once', () => {
  it('show the toolbox of one superblock, and keep nothing of it', async () => {
    await using containers = new AsyncDisposableStack();
    const all: Container[] = [];
    for (let at = 0; at < 200; at++) all.push(containers.use(await startContainer(agent.kernel)));
    const before = all.map(traces);
    const open = await Promise.all(
      all.map((container, at) => start(agent, container, { visibility: both[at % 2]!, command: shell('sleep 1000') })),
    );
    await using _open = new AsyncDisposableStack();
    for (const session of open) _open.use(session);
    const devices = open.map(
      ({ pid }) => mountOf(parseMountinfo(readFileSync(`/proc/${pid}/mountinfo`, 'utf8')), '/dev/crashcart')?.device,
    );
    expect(new Set(devices).size).toBe(1);
    expect(devices[0]).toMatch(/^\d+:\d+$/);
    for (const left of await Promise.all(open.map((session) => session.cleanup()))) expect(left).toEqual({});
    expect(all.map(traces)).toEqual(before);
  }, 400_000);
});

describe('sixty sessions one after another', () => {
  it('leave no descriptor, cgroup, mount or process', async () => {
    await using container = await startContainer(agent.kernel);
    const before = traces(container);
    for (let at = 0; at < 60; at++) {
      const visibility = both[at % 2]!;
      expect((await run(agent, container, ['true'], { visibility, tty: at % 3 === 0 })).code).toBe(0);
    }
    expect(traces(container)).toEqual(before);
  });
});

describe('the sweep at the start of an agent', () => {
  it('ends the sessions of the agent before it and takes its toolboxes out of containers', async () => {
    await using container = await startContainer(agent.kernel);
    const before = traces(container);
    await using session = await start(agent, container, { visibility: 'Container', command: shell('sleep 1000') });
    const { stateDirectory } = agent;
    {
      using later = openDeps(stateDirectory);
      const parents = [sessionsCgroup(container.target.spec.cgroupsPath)];
      const swept = await sweepLeftovers({ ...later, stateDirectory }, parents, { has: () => false });
      expect(swept).toEqual({ cgroups: 1, placements: 1, leftovers: [] });
    }
    expect(await session.exited).toMatchObject({ code: 137 });
    expect(await session.cleanup()).toEqual({});
    expect(traces(container)).toEqual(before);
  });
});
