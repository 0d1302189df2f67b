import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { writeAll } from '../../../test/support/in-memory-process.ts';
import {
  bytesOf,
  desired,
  everything,
  exitOf,
  observed,
  readAll,
  settle,
  setUp,
} from '../../../test/support/session-registry.ts';
import { channels } from '../../wire/channel.ts';
import { encodeProgress, unconfirmedInputBytes } from '../../wire/resume.ts';
import { outputBytes } from '../session/memory.ts';
import { tailBytes } from './output.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('output is held for the first client: nothing is lost even when the command ends before', async () => {
  const { registry, processes } = setUp();
  registry.put(desired('a'), {});
  await settle();
  const data = Buffer.alloc(outputBytes + 50_000, 'abcdefghij');
  void writeAll(processes[0]!.stdout, data).then(() => processes[0]!.exit({ code: 0 }));
  await settle();
  expect(observed(registry).phase).toBe('Finished');
  const frames = await readAll(await registry.attach('a', everything));
  expect(bytesOf(frames, channels.stdout) === data.toString()).toBe(true);
  expect(exitOf(frames)).toEqual({ code: 0 });
});

test('while nobody has come the command is paused, and goes on after fifteen seconds', async () => {
  const { registry, processes } = setUp();
  registry.put(desired('a'), {});
  await settle();
  const done = vi.fn();
  void writeAll(processes[0]!.stdout, Buffer.alloc(2 * 1024 * 1024)).then(done);
  await vi.advanceTimersByTimeAsync(14_000);
  expect(done).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1_000);
  await settle();
  expect(done).toHaveBeenCalled();
});

test('stdout and stderr arrive apart, then one status, then the end', async () => {
  const { registry, processes } = setUp();
  registry.put(desired('a'), {});
  const client = await registry.attach('a', everything);
  processes[0]!.stdout.write('out');
  processes[0]!.stderr!.write('err');
  await settle();
  processes[0]!.exit({ code: 7 });
  const frames = await readAll(client);
  expect(bytesOf(frames, channels.stdout)).toBe('out');
  expect(bytesOf(frames, channels.stderr)).toBe('err');
  expect(frames.filter(({ channel }) => channel === channels.status)).toHaveLength(1);
  expect(exitOf(frames)).toMatchObject({ code: 7 });
  await settle();
  expect(observed(registry).attached).toBe(0);
});

test('a client that asked for stdout alone gets stdout alone', async () => {
  const { registry, processes } = setUp();
  registry.put(desired('a'), {});
  const client = await registry.attach('a', { ...everything, stderr: false });
  processes[0]!.stdout.write('out');
  processes[0]!.stderr!.write('err');
  processes[0]!.exit({ code: 0 });
  const frames = await readAll(client);
  expect(frames.map(({ channel }) => channel)).toEqual([channels.stdout, channels.status]);
});

test('a client that does not read pauses the command, and one that reads again continues it without loss', async () => {
  const { registry, processes } = setUp();
  registry.put(desired('a'), {});
  const client = await registry.attach('a', everything);
  const data = Buffer.alloc(4 * 1024 * 1024, '0123456789');
  const done = vi.fn();
  void writeAll(processes[0]!.stdout, data).then(() => {
    done();
    processes[0]!.exit({ code: 0 });
  });
  await vi.advanceTimersByTimeAsync(20_000);
  expect(done).not.toHaveBeenCalled();
  expect(client.output.readableLength).toBeLessThanOrEqual(17);
  const frames = await readAll(client);
  expect(done).toHaveBeenCalled();
  expect(bytesOf(frames, channels.stdout) === data.toString()).toBe(true);
});

test('all clients get the output, and one that blocks the others for thirty seconds is dropped with a reason', async () => {
  const { registry, processes } = setUp();
  registry.put(desired('a'), {});
  const stuck = await registry.attach('a', everything);
  const reading = readAll(await registry.attach('a', everything));
  const data = Buffer.alloc(4 * 1024 * 1024, 'z');
  const done = vi.fn();
  void writeAll(processes[0]!.stdout, data).then(done);
  await vi.advanceTimersByTimeAsync(29_000);
  expect(done).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(2_000);
  await settle();
  expect(done).toHaveBeenCalled();
  expect(observed(registry).attached).toBe(1);
  expect(exitOf(await readAll(stuck))).toMatchObject({ reason: 'Timeout' });
  processes[0]!.exit({ code: 0 });
  expect(bytesOf(await reading, channels.stdout)).toHaveLength(data.length);
});

test('a client that is alone may block as long as it likes', async () => {
  const { registry, processes } = setUp();
  registry.put(desired('a'), {});
  const client = await registry.attach('a', everything);
  void writeAll(processes[0]!.stdout, Buffer.alloc(2 * 1024 * 1024));
  await vi.advanceTimersByTimeAsync(120_000);
  expect(observed(registry)).toMatchObject({ phase: 'Running', attached: 1 });
  client.close();
  await settle();
  expect(observed(registry).attached).toBe(0);
});

test('a client that comes back gets the tail of what it missed', async () => {
  const { registry, processes } = setUp();
  registry.put(desired('a'), {});
  (await registry.attach('a', everything)).close();
  const data = Buffer.from(Array.from({ length: 200_000 }, (_, at) => `${at}\n`).join(''));
  await writeAll(processes[0]!.stdout, data);
  await settle();
  const client = await registry.attach('a', everything);
  processes[0]!.exit({ code: 0 });
  const output = bytesOf(await readAll(client), channels.stdout);
  expect(output.length).toBe(tailBytes);
  expect(data.toString().endsWith(output)).toBe(true);
});

test('input reaches the command, with a false and a drain when it is slow, and end of input closes it', async () => {
  const { registry, processes } = setUp();
  registry.put(desired('a'), {});
  const client = await registry.attach('a', everything);
  const frame = { channel: channels.stdin, payload: Buffer.alloc(32 * 1024, 'i') };
  const drained = vi.fn();
  client.onDrain(drained);
  let taken = 0;
  while (client.input(frame)) taken += 1;
  expect(taken).toBeGreaterThan(0);
  expect(taken * frame.payload.length).toBeLessThan(1.5 * unconfirmedInputBytes);
  const received = processes[0]!.stdin.toArray();
  await settle();
  expect(drained).toHaveBeenCalled();
  expect(client.input(frame)).toBe(true);
  client.input({ channel: channels.close, payload: Buffer.from([channels.stdin]) });
  expect(Buffer.concat(await received)).toHaveLength((taken + 1) * frame.payload.length);
});

test('a client’s word about output does not wait behind its input, which waits for that output', async () => {
  const { registry, processes } = setUp();
  registry.put(desired('a'), {});
  const client = await registry.attach('a', { ...everything, resume: { id: 7n } });
  // As cat does: it reads nothing more until what it says is taken.
  const said = vi.fn();
  void writeAll(processes[0]!.stdout, Buffer.alloc(2 * outputBytes)).then(said);
  client.output.resume();
  await settle();
  const payload = Buffer.alloc(32 * 1024);
  for (let sent = 0; sent < unconfirmedInputBytes; sent += payload.length) {
    expect(client.input({ channel: channels.stdin, payload })).toBe(true);
  }
  client.input({ channel: channels.close, payload: Buffer.from([channels.stdin]) });
  expect(said).not.toHaveBeenCalled();
  client.input({ channel: channels.resume, payload: encodeProgress({ position: outputBytes }) });
  await settle();
  expect(said).toHaveBeenCalled();
  expect(Buffer.concat(await processes[0]!.stdin.toArray())).toHaveLength(unconfirmedInputBytes);
});

test('a client that attached without stdin types nothing', async () => {
  const { registry, processes } = setUp();
  registry.put(desired('a'), {});
  const client = await registry.attach('a', { ...everything, stdin: false });
  expect(client.input({ channel: channels.stdin, payload: Buffer.from('rm') })).toBe(true);
  client.input({ channel: channels.close, payload: Buffer.from([channels.stdin]) });
  expect(processes[0]!.stdin.readableLength).toBe(0);
  expect(processes[0]!.stdin.writableEnded).toBe(false);
});

test('nonsense is no size', async () => {
  const { registry, processes } = setUp({ tty: true });
  registry.put(desired('a', { tty: true }), {});
  const client = await registry.attach('a', everything);
  client.input({ channel: channels.resize, payload: Buffer.from('{"Width":120,"Height":40}') });
  client.input({ channel: channels.resize, payload: Buffer.from('{"Width":-1}') });
  expect(processes[0]!.sizes).toEqual([{ width: 120, height: 40 }]);
});

test('the end of input is nothing to a terminal', async () => {
  const { registry, processes } = setUp({ tty: true });
  registry.put(desired('a', { tty: true }), {});
  const client = await registry.attach('a', everything);
  client.input({ channel: channels.close, payload: Buffer.from([channels.stdin]) });
  expect(processes[0]!.stdin.writableEnded).toBe(false);
});

test('a session has room for sixteen clients', async () => {
  const { registry } = setUp();
  registry.put(desired('a'), {});
  for (let at = 0; at < 16; at += 1) await registry.attach('a', everything);
  await expect(registry.attach('a', everything)).rejects.toMatchObject({ reason: 'TooManySessions' });
});

test('output that never ends after the command has is given up', async () => {
  const { registry, processes } = setUp();
  registry.put(desired('a'), {});
  const client = await registry.attach('a', everything);
  const process = processes[0]!;
  process.stdout.end = (() => process.stdout) as typeof process.stdout.end;
  process.exit({ code: 0 });
  const frames = readAll(client);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(exitOf(await frames)).toEqual({ code: 0 });
});
