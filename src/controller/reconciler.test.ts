import { describe, expect, test, vi } from 'vitest';
import type { DebugProfile } from '../api/debug-profile.ts';
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
  takesEvents = true;
  sessions: Map<string, ObservedSession> | undefined = new Map();
  link: AgentLink | undefined = this.makeLink();
  absentMs = 1_000;
  profile: DebugProfile | undefined = makeProfile();
  /** The node whose agent shows the session with a seal. */
  shownAt: string | undefined;
  /** What the agent answers to a PUT. */
  onPut: () => Promise<ObservedSession> = async () => accepted;
  onStatus: () => Promise<void> = async () => {};

  /** Monotonic. */
  nowMs = 0;

  readonly cluster: { -readonly [P in keyof Cluster]: Cluster[P] } = {
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
    placements: { seal: (_uid, node) => `seal of ${node}`, nodeOf: () => this.shownAt },
    presence: { absentMs: () => this.absentMs },
    events: {
      record: (about, { reason }, _related, onWritten) => {
        this.events.push(`${about.kind} ${reason}`);
        if (this.takesEvents) onWritten?.();
      },
      flush: async () => {},
    },
    profiles: { get: () => this.profile },
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

/** One turn that hands it over, and one half a second later, in which the node is still preparing it. */
async function handOver(world: World): Promise<void> {
  await world.reconcile();
  world.nowMs += settleMs;
  await world.reconcile();
}

test('a new session is told to its agent in one turn, and that it was is written if nothing else comes for a while', async () => {
  const world = new World();
  const session = makeSession({ metadata: { finalizers: [] } });
  await expect(world.reconcile(session)).resolves.toEqual({ requeueAfterMs: settleMs });
  expect(world.calls).toEqual(['finalizer', 'put']);
  world.nowMs += settleMs;
  await world.reconcile();
  expect(world.calls).toEqual(['finalizer', 'put', 'status Preparing']);
  expect(world.statuses[0]).toMatchObject({ nodeName: 'node-a', podUID: 'pod-1', maxDuration: '1h' });
});

test('that it was handed over is written, too, when the tunnel is lost right after', async () => {
  const world = new World();
  await world.reconcile();
  world.link = undefined;
  await world.reconcile();
  world.nowMs += settleMs;
  await world.reconcile();
  expect(world.calls).toEqual(['put', 'status Preparing']);
});

test('an agent that hangs does not hold the status', async () => {
  const world = new World();
  const gate = Promise.withResolvers<void>();
  world.onPut = async () => {
    await gate.promise;
    return accepted;
  };
  vi.useFakeTimers();
  try {
    const turn = world.reconcile();
    await vi.advanceTimersByTimeAsync(settleMs - 1);
    expect(world.calls).toEqual(['put']);
    await vi.advanceTimersByTimeAsync(1);
    expect(world.calls).toEqual(['put', 'status Preparing']);
    gate.resolve();
    await turn;
  } finally {
    vi.useRealTimers();
  }
});

test('the order bears the seal of its node', async () => {
  const world = new World();
  const put = vi.spyOn(world.link as AgentLink, 'put');
  await world.reconcile();
  expect(put.mock.calls[0]?.[0].placement).toBe('seal of node-a');
});

describe('a leader that died between its order and the status', () => {
  const observed = makeObserved({ phase: 'Running' });
  const next = () => {
    const world = new World();
    world.shownAt = 'node-a';
    world.sessions = new Map([[observed.uid, observed]]);
    return world;
  };

  test('leaves a session that runs: the next one does not start it again, and writes down all that can be known', async () => {
    const world = next();
    await world.reconcile();
    world.nowMs += settleMs;
    await world.reconcile();
    expect(world.calls).toEqual(['status Running']);
    expect(world.statuses[0]).toMatchObject({
      ...placed({ phase: 'Running' }),
      maxDuration: '1h',
      profileGeneration: 3,
    });
    expect(world.events).toEqual(['Pod DebugSessionStarted']);
  });

  test('leaves a session that runs, though its profile and its pod are gone by now', async () => {
    const world = next();
    world.cluster.pod = async () => 'absent';
    world.profile = undefined;
    await world.reconcile();
    world.nowMs += settleMs;
    await world.reconcile();
    expect(world.statuses[0]).toMatchObject({ phase: 'Running', nodeName: 'node-a' });
    expect(world.events).toEqual(['DebugSession DebugSessionStarted']);
  });

  test('leaves a session whose pod has been replaced by another one of its name: that one is told nothing', async () => {
    const world = next();
    world.sessions = new Map([[observed.uid, { ...observed, podUid: 'the-one-before' }]]);
    await world.reconcile();
    world.nowMs += settleMs;
    await world.reconcile();
    expect(world.statuses[0]).toMatchObject({ phase: 'Running', nodeName: 'node-a' });
    expect(world.statuses[0]).not.toHaveProperty('podUID');
    expect(world.events).toEqual(['DebugSession DebugSessionStarted']);
  });

  test('leaves a session that is deleted before its agent has found the next one: it is not let go of for a minute', async () => {
    const world = new World();
    world.sessions = undefined;
    const session = makeSession({ metadata: { deletionTimestamp: secondsAgo(0) } });
    world.reconciler.inherit(session);
    await expect(world.reconcile(session)).resolves.toEqual({ requeueAfterMs: 2_000 });
    expect(world.calls).toEqual([]);
    world.nowMs += 60_000;
    await world.reconcile(session);
    expect(world.calls).toEqual(['release']);
  });

  test('leaves a session that runs and is deleted: it is ended on its node before the object goes', async () => {
    const world = next();
    const session = makeSession({ metadata: { deletionTimestamp: secondsAgo(0) } });
    await world.reconcile(session);
    expect(world.calls).toEqual(['remove Deleted']);
  });
});

test('what was written is not written again while the watch has not brought it', async () => {
  const world = new World();
  await handOver(world);
  world.sessions?.set(makeSession().metadata.uid, makeObserved());
  await world.reconcile();
  world.nowMs += settleMs;
  await world.reconcile();
  await world.reconcile();
  expect(world.calls).toEqual(['put', 'status Preparing', 'status Running']);
  expect(world.events).toEqual(['Pod DebugSessionStarted']);
});

test('a start waits for a moment, and is written then, with its Event, in the turn that it asked for', async () => {
  const world = new World();
  await world.reconcile();
  world.sessions?.set(makeSession().metadata.uid, makeObserved());
  await expect(world.reconcile()).resolves.toEqual({ requeueAfterMs: settleMs });
  world.nowMs += 200;
  await expect(world.reconcile()).resolves.toEqual({ requeueAfterMs: settleMs - 200 });
  expect(world.calls).toEqual(['put']);
  expect(world.events).toEqual([]);
  world.nowMs += settleMs - 200;
  await world.reconcile();
  expect(world.calls).toEqual(['put', 'status Running']);
  expect(world.statuses[0]).toMatchObject({ ...placed({ phase: 'Running' }), startedAt: secondsAgo(5) });
  expect(world.events).toEqual(['Pod DebugSessionStarted']);
});

const clean = { code: 0, reason: reasons.Completed, at: secondsAgo(0) };

test.each([
  ['ends by itself: the pod was told of its start', clean, ['DebugSession DebugSessionEnded']],
  [
    'is ended by somebody: the pod learns it, too',
    { ...clean, reason: reasons.IdleTimeout },
    ['DebugSession DebugSessionEnded', 'Pod DebugSessionEnded'],
  ],
] as const)('a session that runs for a while costs two statuses, and %s', async (_, exit, ends) => {
  const world = new World();
  await world.reconcile();
  for (const seen of [makeObserved(), makeObserved({ phase: 'Finished', exit, cleanedUp: true })]) {
    world.sessions?.set(seen.uid, seen);
    await world.reconcile();
    world.nowMs += settleMs;
    await world.reconcile();
  }
  expect(world.calls).toEqual(['put', 'status Running', 'status Finished']);
  expect(world.events).toEqual(['Pod DebugSessionStarted', ...ends]);
});

test('whether a leader before has told the pod is not known: at the end it is told', async () => {
  const world = new World();
  const session = makeSession({ status: placed({ phase: 'Running', startedAt: secondsAgo(60) }) });
  const ended = makeObserved({ phase: 'Finished', exit: clean, cleanedUp: true });
  world.sessions?.set(ended.uid, ended);
  await world.reconcile(session);
  expect(world.events).toEqual(['DebugSession DebugSessionEnded', 'Pod DebugSessionEnded']);
});

test('a command that is over in a moment costs one status, and an Event on the session and on its pod', async () => {
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
  expect(world.calls).toEqual(['put', 'status Finished']);
  expect(world.statuses.at(-1)).toMatchObject({ ...placed({ phase: 'Finished' }), maxDuration: '1h' });
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
  expect(world.statuses).toHaveLength(0);
  world.nowMs += settleMs;
  await world.reconcile();
  expect(world.statuses.at(-1)).toMatchObject({ phase: 'Finished', exit: { code: 0 } });
});

test('a status that could not be written is written in the next turn', async () => {
  const world = new World();
  world.onStatus = () => Promise.reject(new Error('away'));
  await expect(handOver(world)).rejects.toThrow('away');
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
  await handOver(world);
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

test('an agent that says one step after the other does not keep them all from being written', async () => {
  const world = new World();
  await world.reconcile();
  const phases = ['Preparing', 'Running'] as const;
  for (let turn = 0; world.statuses.length === 0 && turn < 20; turn++) {
    world.nowMs += settleMs - 100;
    world.sessions = new Map([[accepted.uid, makeObserved({ phase: phases[turn % 2] ?? 'Running' })]]);
    await world.reconcile();
  }
  expect(world.statuses).toHaveLength(1);
  expect(world.nowMs).toBeLessThanOrEqual(4 * settleMs);
});

test.each([
  [true, ['Pod DebugSessionStarted', 'DebugSession DebugSessionEnded']],
  [false, ['Pod DebugSessionStarted', 'DebugSession DebugSessionEnded', 'Pod DebugSessionEnded']],
])(
  'the pod is told of an end when the Event of its start could not be written (written: %s)',
  async (takesEvents, events) => {
    const world = new World();
    world.takesEvents = takesEvents;
    await handOver(world);
    world.sessions = new Map([[accepted.uid, makeObserved({ phase: 'Running' })]]);
    for (let turn = 0; turn < 2; turn++) {
      await world.reconcile();
      world.nowMs += settleMs;
    }
    const exit = { code: 0, reason: reasons.Completed, at: secondsAgo(0) };
    world.sessions = new Map([[accepted.uid, makeObserved({ phase: 'Finished', exit, cleanedUp: true })]]);
    await world.reconcile();
    expect(world.events).toEqual(events);
  },
);
