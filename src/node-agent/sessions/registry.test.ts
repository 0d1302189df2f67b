import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { InMemoryProcess } from '../../../test/support/in-memory-process.ts';
import { bytesOf, desired, everything, observed, settle, setUp } from '../../../test/support/session-registry.ts';
import { CrashcartError } from '../../base/errors.ts';
import { channels } from '../../wire/channel.ts';
import { retainedRecords, retainedSessions, retainMs } from './registry.ts';
import { prepareMs } from './session.ts';
import type { Frame } from './sessions.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

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

test('a session does not change its pod, whatever a later order says', async () => {
  const { registry } = setUp();
  const first = desired('a');
  registry.put(first, {});
  const other = { ...first, pod: { ...first.pod, uid: 'another' } };
  expect(() => registry.put(other, {})).toThrow(expect.objectContaining({ reason: 'PodReplaced' }));
  expect(registry.list()).toMatchObject([{ uid: 'a', podUid: first.pod.uid }]);
});

test('the seal that came with an order is shown with its session, to its end', async () => {
  const { registry, processes } = setUp();
  expect(registry.put(desired('a', { placement: 'seal' }), {}).placement).toBe('seal');
  expect(registry.put(desired('b'), {})).not.toHaveProperty('placement');
  await settle();
  processes[0]!.exit({ code: 0 });
  await settle();
  expect(registry.list().find(({ uid }) => uid === 'a')).toMatchObject({ phase: 'Finished', placement: 'seal' });
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
  late.resolve({
    process,
    startedAt: new Date().toISOString(),
    containerExited: new Promise(() => {}),
    release: vi.fn(),
  });
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

  test('what cannot be removed is tried again every minute without an order, and then remembered as any other', async () => {
    const { registry, processes, observer } = setUp();
    registry.put(desired('a'), {});
    await settle();
    // Five attempts a round, over three rounds: its own and two later ones.
    processes[0]!.leftovers.push(...Array<string>(15).fill('a process that cannot be killed'));
    processes[0]!.exit({ code: 0 });
    await vi.advanceTimersByTimeAsync(5 * 60_000);
    expect(observed(registry)).toMatchObject({ cleanedUp: true });
    expect(observer.teardownFailed).toHaveBeenCalledTimes(3);
    await vi.advanceTimersByTimeAsync(retainMs);
    expect(registry.list()).toEqual([]);
  });

  test('how a session ended is remembered for ten minutes, its output only as long as there are not too many', async () => {
    const { registry, processes } = setUp();
    const burst = retainedSessions + 2;
    for (let at = 0; at < burst; at += 1) {
      registry.put(desired(`s${at}`), {});
      await settle();
      processes[at]!.exit({ code: at + 1 });
      await settle();
    }
    // A controller that writes statuses more slowly than the commands end still finds all of them.
    expect(registry.list()).toHaveLength(burst);
    expect(observed(registry, 's0')).toMatchObject({ phase: 'Finished', exit: { code: 1 }, cleanedUp: true });
    await expect(registry.attach('s0', everything)).rejects.toMatchObject({ reason: 'NotFound' });
    expect(registry.put(desired('s0'), {})).toMatchObject({ phase: 'Finished' });
    await expect(registry.attach('s2', everything)).resolves.toBeDefined();
    expect(await registry.remove('s1', 'Deleted')).toMatchObject({ exit: { code: 2 }, cleanedUp: true });
    expect(observed(registry, 's1')).toBeUndefined();
    await vi.advanceTimersByTimeAsync(retainMs);
    expect(registry.list()).toEqual([]);
  });

  test('the records of ended sessions have a bound too', async () => {
    const { registry, processes } = setUp();
    const total = retainedSessions + retainedRecords + 3;
    // As many at once as may run at once: a settle for each would take long.
    for (let from = 0; from < total; from += 200) {
      const batch = Array.from({ length: Math.min(200, total - from) }, (_, at) => from + at);
      for (const at of batch) registry.put(desired(`s${at}`), {});
      await settle();
      for (const at of batch) processes[at]!.exit({ code: 0 });
      await settle();
    }
    expect(registry.list()).toHaveLength(retainedSessions + retainedRecords);
    expect(() => registry.put(desired('s0'), {})).toThrow(expect.objectContaining({ reason: 'SessionEnded' }));
  });

  test('a shutdown lets go of what runs, ends what is starting, and takes no more orders', async () => {
    const { registry, processes } = setUp();
    registry.put(desired('a'), {});
    await settle();
    registry.put(desired('b'), {});
    const left = await registry.shutdown();
    expect(left).toMatchObject([{ phase: 'Running', cleanedUp: false }, { exit: { reason: 'AgentRestarted' } }]);
    expect(processes[0]!.cleanups).toBe(0);
    expect(() => registry.put(desired('c'), {})).toThrow(expect.objectContaining({ reason: 'Unavailable' }));
  });
});

describe('a session of an earlier agent', () => {
  const launched = (process: InMemoryProcess, startedAt = new Date().toISOString()) => ({
    process,
    startedAt,
    containerExited: new Promise<void>(() => {}),
    release: vi.fn(),
  });

  test('runs on with what is left of its time, and its exit is told as it was', async () => {
    const { registry } = setUp();
    const process = new InMemoryProcess();
    const startedAt = new Date(Date.now() - 50_000).toISOString();
    registry.takeOver(desired('a', { maxDurationMs: 60_000 }), {}, launched(process, startedAt));
    await settle();
    expect(observed(registry)).toMatchObject({ phase: 'Running', startedAt });
    await vi.advanceTimersByTimeAsync(9_000);
    expect(observed(registry).phase).toBe('Running');
    await vi.advanceTimersByTimeAsync(1_000);
    await settle();
    expect(observed(registry)).toMatchObject({ phase: 'Finished', exit: { reason: 'MaxDurationExceeded' } });
  });

  test('that ended while no agent was there keeps its exit and the time of it', async () => {
    const { registry } = setUp();
    const process = new InMemoryProcess();
    process.exit({ code: 7, at: '2026-11-24T01:02:03.000Z' });
    registry.takeOver(desired('a'), {}, launched(process));
    await settle();
    expect(observed(registry)).toMatchObject({
      phase: 'Finished',
      exit: { code: 7, reason: 'Completed', at: '2026-11-24T01:02:03.000Z' },
      cleanedUp: true,
    });
  });

  test('that its supervisor ended, because no agent came, is no completion', async () => {
    const { registry } = setUp();
    const process = new InMemoryProcess();
    process.exit({ code: 137, signal: 'SIGKILL', leaseOver: true });
    registry.takeOver(desired('a'), {}, launched(process));
    await settle();
    expect(observed(registry).exit).toMatchObject({ reason: 'MaxDurationExceeded' });
  });

  test('keeps an extension that it was given before', async () => {
    const { registry } = setUp();
    const process = new InMemoryProcess();
    process.noted = 120_000;
    registry.takeOver(desired('a', { maxDurationMs: 60_000 }), {}, launched(process));
    await vi.advanceTimersByTimeAsync(61_000);
    expect(observed(registry)).toMatchObject({ phase: 'Running', maxDurationMs: 120_000 });
  });
});

test('a session that its last client has left ends after its grace, one that nobody has come to does not', async () => {
  const { registry } = setUp();
  registry.put(desired('a', { detachGraceMs: 60_000 }), {});
  await settle();
  await vi.advanceTimersByTimeAsync(120_000);
  expect(observed(registry).phase).toBe('Running');
  (await registry.attach('a', everything)).close();
  await vi.advanceTimersByTimeAsync(59_000);
  expect(observed(registry).phase).toBe('Running');
  await vi.advanceTimersByTimeAsync(1_000);
  await settle();
  expect(observed(registry).exit).toMatchObject({ code: 137, reason: 'DetachGraceExceeded' });
});

test('the next agent knows that a session was left', async () => {
  const { registry } = setUp();
  const process = new InMemoryProcess();
  const launched = {
    process,
    startedAt: new Date().toISOString(),
    containerExited: new Promise<void>(() => {}),
    release: () => {},
  };
  process.visit();
  registry.takeOver(desired('a', { detachGraceMs: 60_000 }), {}, launched);
  await vi.advanceTimersByTimeAsync(60_000);
  await settle();
  expect(observed(registry).exit).toMatchObject({ reason: 'DetachGraceExceeded' });
});

test('an order of before that comes again shortens nothing', async () => {
  const { registry } = setUp();
  registry.put(desired('a', { maxDurationMs: 60_000 }), {});
  registry.put(desired('a', { maxDurationMs: 120_000 }), {});
  registry.put(desired('a', { maxDurationMs: 60_000 }), {});
  expect(observed(registry).maxDurationMs).toBe(120_000);
});

test('who is attached is warned of the end, told how to put it off, and told when it was put off', async () => {
  const { registry } = setUp({ tty: true });
  registry.put(desired('a', { tty: true, maxDurationMs: 120_000 }), {});
  const client = await registry.attach('a', { ...everything, tty: true });
  const frames: Frame[] = [];
  client.output.on('data', (frame: Frame) => frames.push(frame));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(bytesOf(frames, channels.stdout)).toMatch(
    /this session ends in 60 s \(maxDuration\); more time: kubectl crashcart extend session-a -n default/,
  );
  registry.put(desired('a', { tty: true, maxDurationMs: 3_720_000 }), {});
  await settle();
  expect(bytesOf(frames, channels.stdout)).toMatch(/this session was extended: it may last 1h1m from now/);
});

test('a longer duration in a later order extends the session, and is noted for the next agent', async () => {
  const { registry, processes } = setUp();
  registry.put(desired('a', { maxDurationMs: 60_000 }), {});
  await settle();
  registry.put(desired('a', { maxDurationMs: 90_000 }), {});
  expect(processes[0]!.noted).toBe(90_000);
  await vi.advanceTimersByTimeAsync(61_000);
  expect(observed(registry).phase).toBe('Running');
  await vi.advanceTimersByTimeAsync(30_000);
  await settle();
  expect(observed(registry).exit).toMatchObject({ reason: 'MaxDurationExceeded' });
});
