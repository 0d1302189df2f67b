import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { InMemoryProcess, writeAll } from '../../../test/support/in-memory-process.ts';
import { CrashcartError } from '../../base/errors.ts';
import { silentLogger } from '../../base/log.ts';
import type { DesiredSession, ObservedSession, SessionEvent } from '../../wire/agent-protocol.ts';
import { channels } from '../../wire/channel.ts';
import { exitOfStatus } from '../../wire/status.ts';
import { ringBytes } from './output.ts';
import { Registry, retainedSessions, retainMs } from './registry.ts';
import { prepareMs } from './session.ts';
import type { Attachment, AttachRequest, Frame } from './sessions.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const desired = (uid: string, over: Partial<DesiredSession> = {}): DesiredSession => ({
  uid,
  namespace: 'default',
  name: `session-${uid}`,
  pod: { name: 'web-0', uid: 'pod-uid' },
  container: { name: 'web', id: 'containerd://abc' },
  toolbox: 'default',
  profile: 'general',
  tty: false,
  stdin: true,
  visibility: 'Session',
  maxDurationMs: 3_600_000,
  idleTimeoutMs: 900_000,
  ...over,
});

const everything: AttachRequest = { stdin: true, stdout: true, stderr: true, tty: false };

function setUp({ tty = false, maxSessions = 256 } = {}) {
  const processes: InMemoryProcess[] = [];
  const containerExited = Promise.withResolvers<void>();
  const launch = vi.fn(async () => {
    const process = new InMemoryProcess({ tty });
    processes.push(process);
    return { process, containerExited: containerExited.promise, release };
  });
  const release = vi.fn();
  const observer = { launched: vi.fn(), transferred: vi.fn(), teardownFailed: vi.fn() };
  const registry = new Registry({ launch, log: silentLogger, observer, maxSessions });
  const events: SessionEvent[] = [];
  registry.onEvent((event) => events.push(event));
  return { registry, processes, launch, release, observer, events, containerExited };
}

/** Lets promises and streams settle without moving the clock. */
const settle = async () => {
  for (let round = 0; round < 20; round += 1) await vi.advanceTimersByTimeAsync(0);
};

const observed = (registry: Registry, uid = 'a'): ObservedSession => registry.list().find((one) => one.uid === uid)!;

async function readAll({ output }: Attachment): Promise<Frame[]> {
  const frames: Frame[] = [];
  for await (const frame of output) frames.push(frame as Frame);
  return frames;
}

const bytesOf = (frames: readonly Frame[], channel: number): string =>
  Buffer.concat(frames.filter((frame) => frame.channel === channel).map(({ payload }) => payload)).toString();

const exitOf = (frames: readonly Frame[]) => exitOfStatus(frames.at(-1)!.payload);

test('a session is started once however often it is ordered, and not again after its end or its removal', async () => {
  const { registry, processes, launch } = setUp();
  expect(registry.put(desired('a'), {}).phase).toBe('Preparing');
  registry.put(desired('a'), {});
  await settle();
  expect(registry.put(desired('a'), {}).phase).toBe('Running');
  processes[0]!.exit({ code: 3 });
  await settle();
  expect(registry.put(desired('a'), {})).toMatchObject({ phase: 'Finished', cleanedUp: true, exit: { code: 3 } });
  await registry.remove('a', 'Deleted');
  expect(() => registry.put(desired('a'), {})).toThrow(expect.objectContaining({ reason: 'SessionEnded' }));
  expect(launch).toHaveBeenCalledTimes(1);
});

test('the events tell the life of a session in order', async () => {
  const { registry, processes, events } = setUp();
  registry.put(desired('a'), {});
  await settle();
  processes[0]!.exit({ code: 0 });
  await settle();
  await registry.remove('a', 'Deleted');
  const told = events.map((event) =>
    event.type === 'changed' ? `${event.session.phase}${event.session.cleanedUp ? ', clean' : ''}` : event.type,
  );
  expect(told).toEqual(['Preparing', 'Running', 'Finished', 'Finished, clean', 'forgotten']);
});

test('a node takes no more than its limit of running sessions, and ended ones do not count', async () => {
  const { registry, processes } = setUp({ maxSessions: 1 });
  registry.put(desired('a'), {});
  await settle();
  expect(() => registry.put(desired('b'), {})).toThrow(expect.objectContaining({ reason: 'TooManySessions' }));
  processes[0]!.exit({ code: 0 });
  await settle();
  expect(registry.put(desired('b'), {}).phase).toBe('Preparing');
});

test('a failed start is told to who attaches and stays to be read', async () => {
  const { registry, launch } = setUp();
  launch.mockRejectedValueOnce(new CrashcartError('PodReplaced', 'another pod'));
  registry.put(desired('a'), {});
  const attached = registry.attach('a', everything);
  await expect(attached).rejects.toMatchObject({ reason: 'PodReplaced', message: 'another pod' });
  await settle();
  expect(observed(registry)).toMatchObject({ phase: 'Failed', cleanedUp: true, failure: { reason: 'PodReplaced' } });
});

test('a start that hangs fails in time, and a command that comes up later is ended', async () => {
  const { registry, launch, processes } = setUp();
  const late = Promise.withResolvers<Awaited<ReturnType<typeof launch>>>();
  launch.mockReturnValueOnce(late.promise);
  registry.put(desired('a'), {});
  await vi.advanceTimersByTimeAsync(prepareMs);
  expect(observed(registry)).toMatchObject({ phase: 'Failed', cleanedUp: false, failure: { reason: 'Timeout' } });
  const process = new InMemoryProcess();
  processes.push(process);
  late.resolve({ process, containerExited: new Promise(() => {}), release: vi.fn() });
  await settle();
  expect(process.cleanups).toBe(1);
  expect(observed(registry)).toMatchObject({ phase: 'Failed', cleanedUp: true });
});

test('a session that is removed while it is prepared is ended as soon as it runs', async () => {
  const { registry, processes } = setUp();
  registry.put(desired('a'), {});
  const removed = await registry.remove('a', 'Deleted');
  expect(removed).toMatchObject({ phase: 'Finished', cleanedUp: true, exit: { code: 137, reason: 'Deleted' } });
  expect(processes[0]!.cleanups).toBe(1);
  await expect(registry.remove('a', 'Deleted')).rejects.toMatchObject({ reason: 'NotFound' });
});

describe('the end', () => {
  test.each([
    [{ maxDurationMs: 60_000 }, 'MaxDurationExceeded'],
    [{ idleTimeoutMs: 60_000 }, 'IdleTimeout'],
  ])('a limit of %j ends the session with %s, whether anybody is attached or not', async (limit, reason) => {
    const { registry } = setUp();
    registry.put(desired('a', limit), {});
    await vi.advanceTimersByTimeAsync(60_000);
    await settle();
    expect(observed(registry)).toMatchObject({ phase: 'Finished', exit: { code: 137, reason }, cleanedUp: true });
  });

  test('bytes in either direction keep a session from being idle', async () => {
    const { registry, processes } = setUp();
    registry.put(desired('a', { idleTimeoutMs: 60_000 }), {});
    await settle();
    const client = await registry.attach('a', everything);
    client.output.resume();
    for (let round = 0; round < 4; round += 1) {
      await vi.advanceTimersByTimeAsync(50_000);
      if (round % 2 === 0) client.input({ channel: channels.stdin, payload: Buffer.from('x') });
      else processes[0]!.stdout.write('y');
      await settle();
    }
    expect(observed(registry).phase).toBe('Running');
  });

  test('the end of the container ends the session and is its reason', async () => {
    const { registry, containerExited } = setUp();
    registry.put(desired('a'), {});
    await settle();
    containerExited.resolve();
    await settle();
    expect(observed(registry).exit).toMatchObject({ reason: 'ContainerExited', code: 137 });
  });

  test('a kill from outside is neither a limit nor a completion', async () => {
    const { registry, processes } = setUp();
    registry.put(desired('a'), {});
    await settle();
    processes[0]!.exit({ code: 137, signal: 'SIGKILL' });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(observed(registry).exit).toMatchObject({ reason: 'Killed', signal: 'SIGKILL' });
  });

  test('a teardown that leaves something is tried again, told, and can be repeated', async () => {
    const { registry, processes, observer, release } = setUp();
    registry.put(desired('a'), {});
    await settle();
    processes[0]!.leftovers.push(...Array<string>(5).fill('cgroup busy'));
    const removing = registry.remove('a', 'Deleted');
    await vi.advanceTimersByTimeAsync(60_000);
    // remove itself tried a second round after the session's own.
    expect(await removing).toMatchObject({ cleanedUp: true });
    expect(observer.teardownFailed).toHaveBeenCalledTimes(1);
    expect(release).toHaveBeenCalledTimes(1);
  });

  test('what cannot be removed is not forgotten', async () => {
    const { registry, processes } = setUp();
    registry.put(desired('a'), {});
    await settle();
    processes[0]!.leftovers.push(...Array<string>(10).fill('cgroup busy'));
    const removing = registry.remove('a', 'Deleted');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await removing).toMatchObject({ cleanedUp: false, leftovers: 'cgroup busy' });
    expect(await registry.remove('a', 'Deleted')).toMatchObject({ cleanedUp: true });
    expect(registry.list()).toEqual([]);
  });

  test('an ended session is remembered for ten minutes, and the oldest go when there are too many', async () => {
    const { registry, processes } = setUp();
    for (let at = 0; at < retainedSessions + 2; at += 1) {
      registry.put(desired(`s${at}`), {});
      await settle();
      processes[at]!.exit({ code: 0 });
      await settle();
    }
    expect(registry.list()).toHaveLength(retainedSessions);
    expect(observed(registry, 's0')).toBeUndefined();
    await vi.advanceTimersByTimeAsync(retainMs);
    expect(registry.list()).toEqual([]);
  });

  test('a shutdown ends everything, tells the clients, and takes no more orders', async () => {
    const { registry } = setUp();
    registry.put(desired('a'), {});
    registry.put(desired('b'), {});
    await settle();
    const frames = readAll(await registry.attach('a', everything));
    expect(await registry.shutdown()).toMatchObject([{ cleanedUp: true }, { cleanedUp: true }]);
    expect(exitOf(await frames)).toMatchObject({ code: 137, reason: 'AgentRestarted' });
    expect(() => registry.put(desired('c'), {})).toThrow(expect.objectContaining({ reason: 'Unavailable' }));
  });
});

describe('attached', () => {
  test('output is held for the first client: nothing is lost even when the command ends before', async () => {
    const { registry, processes } = setUp();
    registry.put(desired('a'), {});
    await settle();
    const data = Buffer.alloc(ringBytes + 100_000, 'abcdefghij');
    void writeAll(processes[0]!.stdout, data).then(() => processes[0]!.exit({ code: 0 }));
    await settle();
    expect(observed(registry).phase).toBe('Finished');
    const frames = await readAll(await registry.attach('a', everything));
    expect(bytesOf(frames, channels.stdout)).toBe(data.toString());
    expect(exitOf(frames)).toEqual({ code: 0 });
  });

  test('while nobody has come the command is paused, and goes on after fifteen seconds', async () => {
    const { registry, processes } = setUp();
    registry.put(desired('a'), {});
    await settle();
    const done = vi.fn();
    void writeAll(processes[0]!.stdout, Buffer.alloc(1024 * 1024)).then(done);
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
    const data = Buffer.alloc(2 * 1024 * 1024, 'z');
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
    expect(output.length).toBe(ringBytes);
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
    expect(taken).toBeLessThan(10);
    const received = processes[0]!.stdin.toArray();
    await settle();
    expect(drained).toHaveBeenCalled();
    expect(client.input(frame)).toBe(true);
    client.input({ channel: channels.close, payload: Buffer.from([channels.stdin]) });
    expect(Buffer.concat(await received)).toHaveLength((taken + 1) * frame.payload.length);
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

  test('the size of the terminal is that of whoever sent one last, and nonsense is no size', async () => {
    const { registry, processes } = setUp({ tty: true });
    registry.put(desired('a', { tty: true }), {});
    const [one, two] = [await registry.attach('a', everything), await registry.attach('a', everything)];
    one.input({ channel: channels.resize, payload: Buffer.from('{"Width":80,"Height":24}') });
    two.input({ channel: channels.resize, payload: Buffer.from('{"Width":120,"Height":40}') });
    two.input({ channel: channels.resize, payload: Buffer.from('{"Width":-1}') });
    expect(processes[0]!.sizes).toEqual([
      { width: 80, height: 24 },
      { width: 120, height: 40 },
    ]);
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
});
