import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { writeAll } from '../../../test/support/in-memory-process.ts';
import { bytesOf, desired, observed, readAll, settle, setUp } from '../../../test/support/session-registry.ts';
import { channels } from '../../wire/channel.ts';
import { encodeProgress, parseResumption, type ResumeRequest, type Resumption } from '../../wire/resume.ts';
import { outputBytes } from '../session/memory.ts';
import type { Attachment, AttachRequest, Frame } from './sessions.ts';

// Several people in one session: one types, the others see it.
beforeEach(() => void vi.useFakeTimers({ now: Date.parse('2026-11-24T10:00:00Z') }));
afterEach(() => void vi.useRealTimers());

const size = (width: number) => ({
  channel: channels.resize,
  payload: Buffer.from(JSON.stringify({ Width: width, Height: 24 })),
});
const keys = (text: string): Frame => ({ channel: channels.stdin, payload: Buffer.from(text) });

interface Seat {
  readonly client: Attachment;
  readonly frames: Frame[];
  said(): readonly Resumption[];
  notices(): readonly string[];
}

let nextId = 1n;

async function room(over: Parameters<typeof desired>[1] = {}) {
  const made = setUp({ tty: true });
  made.registry.put(desired('a', { tty: true, ...over }), {});
  await settle();
  const sit = async (
    user: string,
    more: Partial<AttachRequest> = {},
    resume: Partial<ResumeRequest> = {},
  ): Promise<Seat> => {
    const client = await made.registry.attach('a', {
      stdin: !more.observe,
      stdout: true,
      stderr: false,
      tty: true,
      user,
      resume: { id: nextId++, ...resume },
      ...more,
    });
    const frames: Frame[] = [];
    client.output.on('data', (frame: Frame) => frames.push(frame));
    await settle();
    const said = () =>
      frames.flatMap((frame) => (frame.channel === channels.resume ? [parseResumption(frame.payload) ?? {}] : []));
    return { client, frames, said, notices: () => said().flatMap(({ notice }) => notice ?? []) };
  };
  return { ...made, process: made.processes[0]!, sit };
}

const typed = (process: { stdin: { read(): Buffer | null } }): string => process.stdin.read()?.toString() ?? '';

test('who comes last types; the one before is told who it is and how to take it back, and watches', async () => {
  const { process, sit } = await room();
  const alice = await sit('alice');
  const bob = await sit('bob');
  expect(alice.notices()).toEqual([
    'bob took over from you: this terminal only watches now; to type again: kubectl crashcart attach session-a -n default',
  ]);
  expect(bob.notices()).toEqual(['you took over from alice']);
  alice.client.input(keys('rm -r x'));
  bob.client.input(keys('ls'));
  await settle();
  expect(typed(process)).toBe('ls');
});

test('the window is the writer’s, and that of who has the keyboard again', async () => {
  const { process, sit } = await room();
  const alice = await sit('alice');
  alice.client.input(size(80));
  const bob = await sit('bob');
  bob.client.input(size(120));
  alice.client.input(size(90));
  expect(process.sizes.map(({ width }) => width)).toEqual([80, 120]);
  bob.client.close();
  await settle();
  expect(process.sizes.map(({ width }) => width)).toEqual([80, 120, 90]);
  expect(alice.notices().at(-1)).toBe('bob has left: you type again');
  alice.client.input(keys('again'));
  await settle();
  expect(typed(process)).toBe('again');
});

test('who joins is told who else is there', async () => {
  const { sit } = await room();
  await sit('alice');
  const carol = await sit('carol', { observe: true });
  expect(carol.notices()).toEqual(['also attached: alice (typing)']);
  const bob = await sit('bob');
  expect(bob.notices()).toEqual(['you took over from alice; also attached: carol']);
  const many = await Promise.all(['d', 'e', 'f'].map((user) => sit(user, { observe: true })));
  expect(many.at(-1)!.notices()).toEqual(['also attached: alice, carol, bob (typing), d, 1 more']);
});

test('an observer types nothing, ends no input, changes no window and keeps no session alive', async () => {
  const { process, sit, registry } = await room({ detachGraceMs: 60_000 });
  const alice = await sit('alice');
  const carol = await sit('carol', { observe: true, stdin: true });
  carol.client.input(keys('x'));
  carol.client.input(size(40));
  carol.client.input({ channel: channels.close, payload: Buffer.from([channels.stdin]) });
  await settle();
  expect([typed(process), process.sizes, process.stdin.writableEnded]).toEqual(['', [], false]);
  expect(alice.notices()).toEqual([]);
  alice.client.close();
  await vi.advanceTimersByTimeAsync(60_000);
  await settle();
  expect(observed(registry).exit).toMatchObject({ reason: 'DetachGraceExceeded' });
});

test('an observer that does not read holds up nobody, and is told what it has lost', async () => {
  const { process, sit, registry } = await room();
  const first = await sit('alice');
  const client = await registry.attach('a', {
    stdin: false,
    stdout: true,
    stderr: false,
    tty: true,
    observe: true,
    resume: { id: 99n },
  });
  first.client.input({ channel: channels.resume, payload: encodeProgress({ leaving: true }) });
  first.client.close();
  await settle();
  const bytes = 4 * outputBytes;
  const done = vi.fn();
  void writeAll(process.stdout, Buffer.alloc(bytes, 'x')).then(done);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(done).toHaveBeenCalled();
  process.exit({ code: 0 });
  const frames = await readAll(client);
  const said = frames.flatMap((frame) => (frame.channel === channels.resume ? [parseResumption(frame.payload)] : []));
  const lost = said.reduce((sum, each) => sum + (each?.lost ?? 0), 0);
  expect(lost).toBeGreaterThan(0);
  expect(bytesOf(frames, channels.stdout).length + lost).toBe(bytes);
});

test('the output is still held for who comes to work when an observer came first', async () => {
  const { process, sit } = await room();
  await sit('carol', { observe: true });
  const done = vi.fn();
  void writeAll(process.stdout, Buffer.alloc(2 * outputBytes, 'x')).then(done);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(done).not.toHaveBeenCalled();
  const alice = await sit('alice');
  await vi.advanceTimersByTimeAsync(1_000);
  expect(alice.said()[0]).toMatchObject({ position: 0 });
});

test('who comes back over another connection is what it was before, and nobody is told', async () => {
  const { process, sit } = await room();
  const alice = await sit('alice', {}, { id: 71n });
  const bob = await sit('bob', {}, { id: 72n });
  const turns = [alice, bob].map((seat) => seat.said()[0]!.turn!);
  const again = await sit('alice', {}, { id: 71n, position: 0, turn: turns[0]! });
  again.client.input(keys('x'));
  expect([again.notices(), bob.notices()]).toEqual([[], ['you took over from alice']]);
  const bobAgain = await sit('bob', {}, { id: 72n, position: 0, turn: turns[1]! });
  bobAgain.client.input(keys('ls'));
  await settle();
  expect([typed(process), again.notices(), bobAgain.notices()]).toEqual(['ls', [], []]);
});

test('the next agent gives the keyboard to who had it, whoever comes back first', async () => {
  const before = await room();
  const turns: number[] = [];
  for (const [user, id] of [
    ['alice', 71n],
    ['bob', 72n],
  ] as const) {
    turns.push((await before.sit(user, {}, { id })).said()[0]!.turn!);
  }
  for (const order of [
    [0, 1],
    [1, 0],
  ]) {
    const { process, sit } = await room();
    const seats: Seat[] = [];
    for (const at of order)
      seats[at] = await sit(['alice', 'bob'][at]!, {}, { id: BigInt(71 + at), position: 0, turn: turns[at]! });
    seats[0]!.client.input(keys('no'));
    seats[1]!.client.input(keys('yes'));
    await settle();
    expect(typed(process)).toBe('yes');
  }
});

test('a turn of the future is one of now', async () => {
  const { process, sit } = await room();
  const mallory = await sit('mallory', {}, { position: 0, turn: 2 ** 52 });
  const bob = await sit('bob');
  mallory.client.input(keys('no'));
  bob.client.input(keys('yes'));
  await settle();
  expect(typed(process)).toBe('yes');
});

test('who is attached is told upwards, the writer first, with names that are safe to print', async () => {
  const { sit, registry } = await room();
  const since = '2026-11-24T10:00:00Z';
  await sit('alice');
  await sit('carol', { observe: true });
  const bob = await sit('b\u001bob');
  expect(observed(registry)).toMatchObject({
    attached: 3,
    clients: [
      { user: 'b\\u001bob', since, mode: 'Writer' },
      { user: 'alice', since, mode: 'Observer' },
      { user: 'carol', since, mode: 'Observer' },
    ],
  });
  bob.client.close();
  await settle();
  expect(observed(registry).clients?.[0]).toMatchObject({ user: 'alice', mode: 'Writer' });
});

test('at the end of the command nobody is told to type', async () => {
  const { process, sit } = await room();
  const alice = await sit('alice');
  // Who is still reading when the writer has its end already.
  alice.client.output.pause();
  const bob = await sit('bob');
  await writeAll(process.stdout, Buffer.alloc(700_000, 'x'));
  await settle();
  process.exit({ code: 0 });
  await settle();
  bob.client.close();
  alice.client.output.resume();
  await settle();
  expect(alice.notices()).toEqual([expect.stringMatching(/^bob took over/)]);
});
