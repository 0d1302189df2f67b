import { expect, test, vi } from 'vitest';
import type { DebugSession, DebugSessionStatus } from '../api/debug-session.ts';
import { CrashcartError, type Reason, reasons } from '../base/errors.ts';
import { silentLogger } from '../base/log.ts';
import type { AgentLink } from '../gateway/agent-link.ts';
import type { ObservedSession } from '../wire/agent-protocol.ts';
import type { Cluster } from './cluster.ts';
import { Reconciler } from './reconciler.ts';
import { makeObserved, makePod, makeProfile, makeSession, nowMs, placed, secondsAgo } from './session-fixture.ts';
import { settleMs } from './settle.ts';

const { startedAt: _, ...accepted } = makeObserved({ phase: 'Preparing' });

/** An API server and an agent that write down what is asked of them, in order. */
class World {
  readonly calls: string[] = [];
  readonly statuses: DebugSessionStatus[] = [];
  readonly events: string[] = [];
  sessions: Map<string, ObservedSession> | undefined = new Map();
  link: AgentLink | undefined = this.makeLink();
  absentMs = 1_000;
  /** What the agent answers to a PUT. */
  onPut: () => Promise<ObservedSession> = async () => accepted;
  onStatus: () => Promise<void> = async () => {};

  /** Monotonic. */
  nowMs = 0;

  readonly cluster: Cluster = {
    pod: async () => makePod(),
    node: async () => {
      this.calls.push('node');
      return 'present';
    },
    session: async () => undefined,
    addFinalizer: async (session) => {
      this.calls.push('finalizer');
      return makeSession({ metadata: { ...session.metadata, finalizers: ['crashcart.dev/session'] } });
    },
    removeFinalizer: async () => {
      this.calls.push('release');
      return true;
    },
    applyStatus: async (_session, status) => {
      this.calls.push(`status ${status.phase}`);
      await this.onStatus();
      this.statuses.push(status);
    },
    deleteSession: async () => {
      this.calls.push('delete');
    },
  };

  readonly reconciler = new Reconciler({
    cluster: this.cluster,
    agents: { get: (node) => (node === 'node-a' ? this.link : undefined) },
    presence: { absentMs: () => this.absentMs },
    events: {
      record: (about, { reason }) => {
        this.events.push(`${about.kind} ${reason}`);
      },
      flush: async () => {},
    },
    profiles: { get: () => makeProfile() },
    policies: { verdict: { intact: true, sinceMs: 0 } },
    metrics: { dispatched: vi.fn(), started: vi.fn() },
    log: silentLogger,
    wallClock: () => nowMs,
    clock: () => this.nowMs,
  });

  makeLink(): AgentLink {
    return {
      node: 'node-a',
      instance: 'i1',
      version: '0',
      put: async () => {
        this.calls.push('put');
        return await this.onPut();
      },
      remove: async (uid: string, reason: Reason) => {
        this.calls.push(`remove ${reason}`);
        this.sessions?.delete(uid);
        return makeObserved({ phase: 'Finished', cleanedUp: true });
      },
      sessions: () => this.sessions,
      attach: () => Promise.reject(new Error('not here')),
      recordings: async () => [],
      recording: () => Promise.reject(new Error('not here')),
      removeRecording: () => Promise.reject(new Error('not here')),
    };
  }

  reconcile(session: DebugSession = makeSession()) {
    return this.reconciler.reconcile(session);
  }
}

test('a new session is told to its agent before its status is written, in one turn', async () => {
  const world = new World();
  await world.reconcile(makeSession({ metadata: { finalizers: [] } }));
  expect(world.calls).toEqual(['finalizer', 'put', 'status Preparing']);
});

test('a status write that hangs does not hold the agent, and an agent that hangs does not hold the status', async () => {
  const world = new World();
  const gate = Promise.withResolvers<void>();
  world.onStatus = () => gate.promise;
  world.onPut = async () => {
    await gate.promise;
    return accepted;
  };
  const turn = world.reconcile();
  await vi.waitFor(() => expect(world.calls).toEqual(['put', 'status Preparing']));
  gate.resolve();
  await turn;
});

test('what was written is not written again while the watch has not brought it', async () => {
  const world = new World();
  await world.reconcile();
  world.sessions?.set(makeSession().metadata.uid, makeObserved());
  await world.reconcile();
  world.nowMs += settleMs;
  await world.reconcile();
  await world.reconcile();
  expect(world.calls).toEqual(['put', 'status Preparing', 'status Running']);
  expect(world.events).toEqual(['DebugSession DebugSessionStarted', 'Pod DebugSessionStarted']);
});

test('a start waits for a moment, and is written then, with its Event, in the turn that it asked for', async () => {
  const world = new World();
  await world.reconcile();
  world.sessions?.set(makeSession().metadata.uid, makeObserved());
  await expect(world.reconcile()).resolves.toEqual({ requeueAfterMs: settleMs });
  world.nowMs += 200;
  await expect(world.reconcile()).resolves.toEqual({ requeueAfterMs: settleMs - 200 });
  expect(world.calls).toEqual(['put', 'status Preparing']);
  expect(world.events).toEqual([]);
  world.nowMs += settleMs - 200;
  await world.reconcile();
  expect(world.calls).toEqual(['put', 'status Preparing', 'status Running']);
  expect(world.events).toHaveLength(2);
});

test('a command that is over in a moment costs two statuses, and an Event on the session and on its pod', async () => {
  const world = new World();
  await world.reconcile();
  const exit = { code: 0, reason: reasons.Completed, at: secondsAgo(0) };
  for (const seen of [
    makeObserved(),
    makeObserved({ phase: 'Finished', exit }),
    makeObserved({ phase: 'Finished', exit, cleanedUp: true }),
  ]) {
    world.sessions?.set(seen.uid, seen);
    await world.reconcile();
    world.nowMs += 30;
  }
  expect(world.calls).toEqual(['put', 'status Preparing', 'status Finished']);
  expect(world.statuses.at(-1)?.conditions).toContainEqual(
    expect.objectContaining({ type: 'CleanedUp', status: 'True' }),
  );
  expect(world.events).toEqual(['DebugSession DebugSessionEnded', 'Pod DebugSessionEnded']);
});

test('an end whose clean-up takes long is written without waiting for it', async () => {
  const world = new World();
  await world.reconcile();
  const exit = { code: 0, reason: reasons.Completed, at: secondsAgo(0) };
  const ended = makeObserved({ phase: 'Finished', exit });
  world.sessions?.set(ended.uid, ended);
  await world.reconcile();
  expect(world.statuses).toHaveLength(1);
  world.nowMs += settleMs;
  await world.reconcile();
  expect(world.statuses.at(-1)).toMatchObject({ phase: 'Finished', exit: { code: 0 } });
});

test('a status that could not be written is written in the next turn', async () => {
  const world = new World();
  world.onStatus = () => Promise.reject(new Error('away'));
  await expect(world.reconcile()).rejects.toThrow('away');
  world.onStatus = async () => {};
  await world.reconcile();
  expect(world.statuses.map(({ phase }) => phase)).toEqual(['Preparing']);
  expect(world.calls.filter((call) => call === 'put').length).toBe(1);
});

test("an agent's final no fails the session; a passing trouble is an error that comes again", async () => {
  const world = new World();
  world.onPut = () => Promise.reject(new CrashcartError(reasons.Unavailable, 'busy'));
  await expect(world.reconcile()).rejects.toThrow('busy');
  world.onPut = () => Promise.reject(new CrashcartError(reasons.TooManySessions, 'no more than 256 sessions'));
  await expect(world.reconcile()).resolves.toEqual({ requeueAfterMs: 0 });
  await world.reconcile();
  expect(world.statuses.at(-1)?.phase).toBe('Failed');
  expect(world.events).toContain('DebugSession TooManySessions');
});

test('an answer is believed until the tunnel brings news, and not on a later tunnel', async () => {
  const world = new World();
  await world.reconcile();
  // Its event has not come yet: nothing may be concluded from the list.
  await world.reconcile();
  expect(world.statuses.length).toBe(1);
  // A new tunnel, before its list: still nothing.
  world.link = world.makeLink();
  world.sessions = undefined;
  await world.reconcile();
  expect(world.statuses.length).toBe(1);
  world.sessions = new Map();
  await world.reconcile();
  expect(world.statuses.at(-1)?.conditions?.find(({ type }) => type === 'Ready')?.reason).toBe('AgentRestarted');
});

test('a deletion is taken to the agent, and the object goes after its answer', async () => {
  const world = new World();
  const session = makeSession({ metadata: { deletionTimestamp: secondsAgo(0) }, status: placed({ phase: 'Running' }) });
  world.sessions?.set(session.metadata.uid, makeObserved());
  await expect(world.reconcile(session)).resolves.toEqual({ requeueAfterMs: 0 });
  expect(world.calls).toEqual(['remove Deleted']);
  await world.reconcile(session);
  expect(world.calls).toEqual(['remove Deleted', 'remove Deleted', 'release']);
});

test('an agent that has never heard of a deleted session does not hold it', async () => {
  const world = new World();
  const session = makeSession({ metadata: { deletionTimestamp: secondsAgo(0) }, status: placed({ phase: 'Running' }) });
  world.sessions?.set(session.metadata.uid, makeObserved());
  if (world.link) world.link.remove = () => Promise.reject(new CrashcartError(reasons.NotFound, 'no such session'));
  await world.reconcile(session);
  world.sessions?.clear();
  await world.reconcile(session);
  expect(world.calls).toEqual(['release']);
});

test('whether its node is there is asked once a session’s agent has been away for a minute, not before', async () => {
  const world = new World();
  world.link = undefined;
  const session = makeSession({ status: placed({ phase: 'Running', startedAt: secondsAgo(90) }) });
  world.absentMs = 30_000;
  await world.reconciler.reconcile(session);
  expect(world.calls).not.toContain('node');
  world.absentMs = 61_000;
  await world.reconciler.reconcile(session);
  expect(world.calls).toContain('node');
  expect(world.statuses.map(({ phase }) => phase)).not.toContain('Failed');
});

test('a longer maxDuration is told to the agent, and what the agent refuses does not fail the session', async () => {
  const world = new World();
  world.sessions = new Map([[accepted.uid, makeObserved({ maxDurationMs: 3_600_000 })]]);
  const puts: number[] = [];
  world.onPut = async () => {
    puts.push(1);
    throw new CrashcartError(reasons.SessionEnded, 'it has ended');
  };
  const session = makeSession({ spec: { maxDuration: '2h' }, status: placed({ phase: 'Running', maxDuration: '1h' }) });
  await world.reconciler.reconcile(session);
  await world.reconciler.reconcile(session);
  expect(puts).toHaveLength(2);
  expect(world.statuses.map(({ phase }) => phase)).not.toContain('Failed');
  expect(world.events).toEqual([]);
  // What it accepts is told, on session and pod.
  world.onPut = async () => makeObserved({ maxDurationMs: 7_200_000 });
  await world.reconciler.reconcile(session);
  expect(world.events).toEqual(['DebugSession DebugSessionExtended', 'Pod DebugSessionExtended']);
});

test('an agent that says again and again that a session is shorter makes no more Events', async () => {
  const world = new World();
  const session = makeSession({ spec: { maxDuration: '2h' }, status: placed({ phase: 'Running', maxDuration: '1h' }) });
  for (const maxDurationMs of [1_000, 1_001, 1_002]) {
    world.sessions = new Map([[accepted.uid, makeObserved({ maxDurationMs })]]);
    await world.reconciler.reconcile(session);
  }
  expect(world.events).toEqual(['DebugSession DebugSessionExtended', 'Pod DebugSessionExtended']);
});
