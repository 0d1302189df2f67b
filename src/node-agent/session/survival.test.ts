import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLogger } from '../../base/log.ts';
import { Children } from '../../linux/children.ts';
import { neverWait, openPipe } from '../../linux/descriptors.ts';
import { closeAll, loadKernel, type Pid } from '../../linux/kernel.ts';
import { openPidfd, takeFd } from '../../linux/pidfd.ts';
import { bootNow } from './boot-clock.ts';
import { firstDescriptor } from './entry.ts';
import { followSupervisor } from './follow.ts';
import { outputBytes, SessionMemory } from './memory.ts';
import { FollowedInput, FollowedOutput } from './session-output.ts';
import { superviseCommand } from './supervised.ts';
import { untilSupervised } from './verify.ts';

const kernel = loadKernel();
const project = join(import.meta.dirname, '../../..');
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'crashcart-supervisor-'));
  const native = ['agent', 'pump', 'supervise', 'command'].map((name) => join(project, `native/${name}.c`));
  const harness = join(project, 'test/support/supervisor/harness.c');
  execFileSync('cc', ['-O1', '-o', join(directory, 'supervisor'), harness, ...native]);
});
afterAll(() => rmSync(directory, { recursive: true }));

/** A session of the real supervisor, whose command runs on this machine: `stdio` needs no mount where there is no terminal. */
async function start(script: string) {
  const pipes = openPipes();
  const memory = SessionMemory.create(kernel);
  memory.keep(0);
  const command = await superviseCommand(
    {
      kernel,
      log: silentLogger,
      entry: { path: join(directory, 'supervisor'), children: new Children(kernel), [Symbol.dispose]: () => {} },
    },
    { target: { pidfd: openPidfd(kernel, process.pid as Pid) }, memory },
    {
      descriptors: pipes.outer,
      values: {},
      command: ['/bin/sh', '-c', script],
      env: { PATH: '/usr/bin:/bin' },
      stdio: pipes.inner,
    },
  );
  const supervisor = supervisorOf(await command.started);
  pipes.handOver();
  memory.lease(bootNow() + 60_000_000_000n);
  memory.release();
  command.letGo();
  const [output, input] = [new FollowedOutput(memory, command), new FollowedInput(memory, command, false)];
  return { supervisor, memory, command, output, input };
}

function openPipes() {
  const [stdin, stdout, stderr] = [openPipe(kernel), openPipe(kernel), openPipe(kernel)];
  for (const end of [stdin.write, stdout.read, stderr.read]) neverWait(kernel, end);
  return {
    inner: [stdin.read, stdout.write, stderr.write] as const,
    outer: { output: stdout.read, errors: stderr.read, input: stdin.write },
    handOver: () => closeAll(kernel, stdin.read, stdin.write, stdout.read, stdout.write, stderr.read, stderr.write),
  };
}

/** What the next agent does, from the supervisor's pid alone. */
function takeAgain(pid: number) {
  const pidfd = openPidfd(kernel, pid as Pid);
  const take = (place: number) => takeFd(kernel, pidfd, firstDescriptor + place);
  const memory = new SessionMemory(take(0));
  const command = followSupervisor(kernel, { memory, waker: take(1), poker: take(2), target: take(3), pidfd });
  return {
    memory,
    command,
    output: new FollowedOutput(memory, command),
    input: new FollowedInput(memory, command, false),
  };
}

const supervisorOf = (pid: number): number =>
  Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

/** Reads from a position to `until`, or to the end, keeping what was not read. */
async function read(output: FollowedOutput, from: number, until = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let position = from;
  while (position < until) {
    const piece = output.read(position, Math.min(32 * 1024, until - position));
    if (piece === undefined) {
      if (output.ended && position >= output.head) break;
      await sleep(1);
      continue;
    }
    expect(piece.position).toBe(position);
    pieces.push(piece.payload);
    position += piece.payload.length;
    output.keep(position);
  }
  return Buffer.concat(pieces);
}

const hash = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');
const numbers = (count: number): Buffer =>
  Buffer.from(Array.from({ length: count }, (_, at) => `${at + 1}\n`).join(''));

test('no byte is lost or doubled over six agents, and the exit is kept', async () => {
  const first = await start('seq 1 700000; exit 7');
  const { supervisor } = first;
  const parts = [await read(first.output, 0, 1_000_000)];
  let position = 1_000_000;
  // The first agent is only not used any more: its descriptors stay, as those of a killed one would not.
  for (let agent = 0; agent < 3; agent++) {
    const next = takeAgain(supervisor);
    parts.push(await read(next.output, position, position + 1_000_000));
    position += 1_000_000;
  }
  const { output, memory } = takeAgain(supervisor);
  parts.push(await read(output, position));
  // Agents in one process take each other's wake-ups, which an agent that is gone does not: the last one comes when all is told.
  await expect.poll(() => memory.told().exit).toBeDefined();
  const last = takeAgain(supervisor);
  expect(await last.command.exited).toMatchObject({ code: 7 });
  expect(hash(Buffer.concat(parts))).toBe(hash(numbers(700_000)));
  await last.command.abandon();
  await first.command.abandon();
}, 30_000);

test('a command that ends while nobody is there is remembered, with its output and the time', async () => {
  const { supervisor, memory, command, output } = await start('echo out; echo err >&2; kill -TERM $$');
  await expect.poll(() => memory.told().exit).toBeDefined();
  await expect.poll(() => output.ended).toBe(true);
  const again = takeAgain(supervisor);
  expect(await again.command.exited).toMatchObject({ code: 143, signal: 'SIGTERM' });
  await command.abandon();
});

test('input arrives once and in order, whoever hands it in', async () => {
  const { supervisor, command, output, input } = await start('cat | sha256sum');
  const data = numbers(200_000);
  const id = 77n;
  let received = 0;
  let hand = input;
  while (received < data.length) {
    const taken = hand.write(data.subarray(received, received + 30_000), { id, received });
    received += taken;
    if (taken === 0) await sleep(1);
    // Every so often another agent, which knows from the memory how far the client is.
    if (received % 7 === 0) {
      hand = takeAgain(supervisor).input;
      expect(hand.receivedFrom(id)).toBe(received);
    }
  }
  hand.end();
  expect((await read(output, 0)).toString().slice(0, 64)).toBe(hash(data));
  await command.abandon();
});

test('input that finds no room goes on by the word of the supervisor alone', async () => {
  const { command, output, input } = await start('cat | sha256sum');
  const data = numbers(4_000_000);
  let at = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  // In the very turn of the event loop in which the word came, and while the supervisor reads on.
  const goOn = (): void => {
    for (let whole = true; whole && at < data.length; ) {
      const piece = data.subarray(at, at + 30_011);
      const taken = input.write(piece);
      at += taken;
      whole = taken === piece.length;
    }
    if (at === data.length) resolve();
  };
  command.onChange(goOn);
  goOn();
  await promise;
  input.end();
  expect((await read(output, 0)).toString().slice(0, 64)).toBe(hash(data));
  await command.abandon();
}, 30_000);

test('the command waits for who keeps its output, and goes on over the oldest when nobody does', async () => {
  const { memory, command, output } = await start('seq 1 600000');
  await expect.poll(() => output.head).toBe(outputBytes);
  await sleep(50);
  expect(output.head).toBe(outputBytes);
  output.keep(undefined);
  await expect.poll(() => output.ended).toBe(true);
  const all = numbers(600_000);
  expect(output.head).toBe(all.length);
  const { tail } = memory.told();
  expect(tail).toBeGreaterThan(outputBytes);
  expect(hash(await read(output, tail))).toBe(hash(all.subarray(tail)));
  expect(output.read(0, 10)?.position).toBe(tail);
  await command.abandon();
});

test('a command whose supervisor was killed is not let go, and one that has its supervisor ends with it', async () => {
  const { supervisor, command } = await start('sleep 100');
  const pid = await command.started;
  await untilSupervised(pid, supervisor);
  await expect(untilSupervised(process.pid, supervisor)).rejects.toThrow('ended by a signal before its command ran');
  process.kill(supervisor, 'SIGKILL');
  const seen = (): Promise<string> => untilSupervised(pid, supervisor).then(() => 'supervised', String);
  await expect.poll(seen).toContain('ended by a signal before its command ran');
  await command.abandon();
});

test.each([
  ['cannot be executed', '/nonsense/program', 'posix_spawn'],
  ['fails', 'echo error fork 11 clone >&3', 'fork'],
  [
    'ends as soon as it has said what it should',
    'echo supervisor $$ >&3; echo started $$ >&3',
    'ended before the command',
  ],
])('a supervisor that %s leaves nothing open here, and no process', async (_how, script, why) => {
  const path = join(directory, 'stub');
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const entry = {
    path: script.startsWith('/') ? script : path,
    children: new Children(kernel),
    [Symbol.dispose]: () => {},
  };
  const pidfd = openPidfd(kernel, process.pid as Pid);
  const before = readdirSync('/proc/self/fd').length;
  for (let round = 0; round < 20; round++) {
    const memory = SessionMemory.create(kernel);
    const request = { descriptors: {}, values: {}, command: ['true'] };
    try {
      const command = await superviseCommand(
        { kernel, log: silentLogger, entry },
        { target: { pidfd }, memory },
        request,
      );
      await command.started.catch((error: Error) => expect(error.message).toContain(why));
      await command.abandon();
    } catch (error) {
      expect(String(error)).toContain(why);
    }
    memory[Symbol.dispose]();
  }
  expect(readdirSync('/proc/self/fd').length).toBe(before);
  closeAll(kernel, pidfd);
  expect(childrenOfOurs()).toEqual([]);
});

const childrenOfOurs = (): string[] =>
  readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean);

test('a session that has moved no byte yet is idle since its start, for the next agent too', async () => {
  const { supervisor, command } = await start('sleep 100');
  // Before, it was idle since the machine's start.
  expect(Number(bootNow() - takeAgain(supervisor).memory.told().active) / 1e9).toBeLessThan(30);
  await command.abandon();
});

test('a command ends with its lease, also where there is no cgroup v2 to end it by', async () => {
  const { memory, command } = await start('sleep 100');
  memory.lease(bootNow() - 1n);
  command.poke();
  expect(await command.exited).toMatchObject({ signal: 'SIGKILL', leaseOver: true });
  await command.abandon();
});

test('two streams keep their order and their channels', async () => {
  const { command, output } = await start(
    'for i in 1 2 3; do echo out$i; sleep 0.02; echo err$i >&2; sleep 0.02; done',
  );
  await command.exited;
  await expect.poll(() => output.ended).toBe(true);
  const seen: string[] = [];
  for (let at = 0; ; ) {
    const piece = output.read(at, 1024);
    if (!piece) break;
    seen.push(`${piece.channel}:${piece.payload.toString().trim()}`);
    at = piece.position + piece.payload.length;
  }
  expect(seen).toEqual(['1:out1', '2:err1', '1:out2', '2:err2', '1:out3', '2:err3']);
  await command.abandon();
});
