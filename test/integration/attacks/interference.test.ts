import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type ContainerOptions, defaultCapabilities, startContainer } from '../container.ts';
import { type Agent, openAgent, run, shell, start, Typist, traces } from '../session.ts';
import { sessions, startAttack, until } from './attack.ts';

// A container that does not want to get at a session, but in its way: stopping it, killing it, speaking for it, listening, keeping it waiting.
vi.setConfig({ testTimeout: 120_000 });

let agent: Agent;
beforeAll(async () => {
  agent = openAgent();
  await using container = await startContainer(agent.kernel);
  await run(agent, container, ['true']); // what is opened once is open now
});
afterAll(() => agent?.[Symbol.dispose]());

const tracer: ContainerOptions = { capabilities: [...defaultCapabilities, 'CAP_SYS_PTRACE'] };

describe('stopping and killing every process that appears', () => {
  it.each<[string, ContainerOptions]>([
    ['with the usual capabilities', {}],
    ['where the pids are those of another container', {}],
    ['in a user namespace', { userNamespace: true }],
  ])('%s ends or delays sessions, and never the agent or what it takes away', async (what, options) => {
    await using pod = what.includes('another') ? await startContainer(agent.kernel) : undefined;
    await using attack = await startAttack(agent, ['kill', '/tmp/attack'], {
      ...options,
      ...(pod ? { sharePid: pod.target.pid } : {}),
    });
    await using other = await startContainer(agent.kernel);
    const before = traces(attack.container);
    const rounds = sessions(agent, attack.container, 45, (round) => ({
      tty: round % 2 === 0,
      visibility: round % 3 === 0 ? 'Container' : 'Session',
      command: shell('sleep 0.05; exit 0'),
    }));
    // Somebody else's sessions meanwhile.
    for (let round = 0; round < 10; round++)
      expect(await run(agent, other, shell('echo $((40+2))'))).toMatchObject({ stdout: '42\n', code: 0 });
    const { ran, refused } = await rounds;
    expect(ran + refused.length).toBe(45);
    // A refusal says what has happened.
    expect(refused.filter((why) => !/ended by a signal before|ended before the command started/.test(why))).toEqual([]);
    expect(traces(attack.container)).toEqual(before);
    expect((await attack.stop()).seen, 'it did look').toBeGreaterThan(10);
  });

  it('leaves a stopped session that can be ended at once', async () => {
    await using container = await startContainer(agent.kernel);
    const before = traces(container);
    await using session = await start(agent, container, { tty: true, command: ['sh'] });
    const typist = new Typist(session);
    typist.type('echo up $((40+2))\n');
    await typist.waitFor(/up 42/);
    process.kill(session.pid, 'SIGSTOP');
    session.resize({ width: 100, height: 30 });
    await session.end();
    expect(await session.exited).toEqual({ code: 137, signal: 'SIGKILL' });
    expect(await session.cleanup()).toEqual({});
    expect(traces(container)).toEqual(before);
  });
});

describe('speaking for a session', () => {
  it('to the agent goes unheard, although the waiting program can be traced; and no pipe that is kept open holds anybody', async () => {
    await using attack = await startAttack(agent, ['speak', '/tmp/attack'], tracer);
    const before = traces(attack.container);
    const { ran, refused } = await sessions(agent, attack.container, 100, (round) => ({
      profile: 'baseline',
      visibility: round % 5 === 0 ? 'Container' : 'Session',
    }));
    expect(traces(attack.container)).toEqual(before);
    const { hits, seen } = await attack.stop();
    expect(hits).toEqual([]);
    expect(refused.filter((why) => why.includes('said-by-the-container'))).toEqual([]);
    expect(ran + refused.length).toBe(100);
    expect(seen).toBeGreaterThan(5);
  });

  it.each(['general', 'baseline', 'netadmin', 'sysadmin'] as const)(
    'to the operator, profile %s, shows nothing in a live terminal',
    async (profile) => {
      await using attack = await startAttack(agent, ['speak', '/tmp/attack']);
      await using session = await start(agent, attack.container, { profile, tty: true, command: ['sh'] });
      let shown = '';
      session.stdout.on('data', (chunk: Buffer) => {
        shown += chunk.toString('latin1');
      });
      for (let round = 0; round < 20; round++) {
        session.stdin?.write(`echo round $((${round}+0)); sleep 0.02\n`);
        await until(() => shown.includes(`round ${round}\r\n`));
      }
      const { hits, seen } = await attack.stop();
      expect(hits).toEqual([]);
      expect(seen).toBeGreaterThan(5);
      expect(shown).not.toContain('said-by-the-container');
      // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly those
      expect(shown).not.toMatch(/\x1b\]/);
    },
  );
});

describe('listening to the keys', () => {
  it.each(['Session', 'Container'] as const)(
    'by the name of a terminal, with a devpts of its own, hears nothing of visibility %s',
    async (visibility) => {
      const capabilities = [...defaultCapabilities, 'CAP_SYS_ADMIN', 'CAP_SYS_TTY_CONFIG'];
      await using attack = await startAttack(agent, ['keys', '/tmp/attack'], { capabilities });
      await using session = await start(agent, attack.container, { visibility, tty: true, command: ['sh'] });
      const typist = new Typist(session);
      for (let round = 0; round < 20; round++) {
        typist.type(`: hunter2; tty; echo typed $((${round}+100))\n`);
        expect(await typist.waitFor(new RegExp(`typed ${round + 100}\r\n`))).toContain('/dev/pts/0\r\n');
      }
      expect((await attack.stop()).hits).toEqual([]);
    },
  );
});

describe('a file system that takes every question and never answers', () => {
  it('costs the session that meets it, and nobody else; what hangs in it goes with the container', async () => {
    const privileged = { privileged: true } as const;
    await using other = await startContainer(agent.kernel);
    const before = traces(other);
    {
      await using inDev = await startAttack(agent, ['fuse', '/dev/crashcart'], privileged);
      await using asCwd = await startAttack(agent, ['fuse', '/hang'], privileged);
      const hung = { ...asCwd.container.target, spec: { ...asCwd.container.target.spec, cwd: '/hang/here' } };
      const waiting = [
        start(agent, inDev.container, { command: ['true'] }),
        start(agent, inDev.container, { command: ['true'], visibility: 'Container' }),
        start(agent, asCwd.container, { command: ['true'], target: hung }),
      ].map((session) => expect(session).rejects.toMatchObject({ reason: 'Timeout' }));
      for (let round = 0; round < 20; round++) expect((await run(agent, other, ['true'])).code).toBe(0);
      await Promise.all(waiting);
    }
    await vi.waitFor(() => expect(traces(other)).toEqual(before), { timeout: 20_000, interval: 200 });
  });

  it('holds a command that looks into it, until the container ends', async () => {
    await using other = await startContainer(agent.kernel);
    const before = traces(other);
    {
      await using attack = await startAttack(agent, ['fuse', '/hang'], { privileged: true });
      await using session = await start(agent, attack.container, { command: ['ls', '/hang/here'] });
      await until(() => readFileSync(`/proc/${session.pid}/wchan`, 'utf8').includes('request_wait_answer'));
      const { leftovers } = await session.cleanup();
      expect(leftovers).toContain('a process that cannot be killed');
      expect((await run(agent, other, ['true'])).code).toBe(0);
      process.kill(attack.container.target.pid, 'SIGKILL');
      await vi.waitFor(async () => expect(await session.cleanup()).toEqual({}), { timeout: 20_000, interval: 200 });
    }
    expect(traces(other).descriptors).toBe(before.descriptors);
  });
});
