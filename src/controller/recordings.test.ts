import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { DebugSessionStatus } from '../api/debug-session.ts';
import { silentLogger } from '../base/log.ts';
import type { AgentLink } from '../gateway/agent-link.ts';
import { AgentRegistry } from '../gateway/agents.ts';
import { RecordingCollector } from './recordings.ts';
import { makeSession, placed } from './session-fixture.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A collector beside one agent that has the recording of the session of `status`. */
function collect(status: () => DebugSessionStatus | undefined) {
  const { uid, namespace, name } = makeSession().metadata;
  const recording = { uid, namespace, session: name, bytes: 7, sha256: 'a'.repeat(64), complete: true };
  const recordings = vi.fn(async () => [recording]);
  const agents = new AgentRegistry();
  agents.add({ node: 'node-a', recordings } as unknown as AgentLink, () => {});
  const onRecorded = vi.fn();
  const session = () => {
    const now = status();
    return makeSession(now ? { status: now } : {});
  };
  const collector = new RecordingCollector({ agents, sessions: { byUid: session }, onRecorded, log: silentLogger });
  const stop = new AbortController();
  void collector.run(stop.signal);
  return { recordings, onRecorded, [Symbol.dispose]: () => stop.abort() };
}

test('the recording of a session that is over before its first status is written waits for that, and is not lost', async () => {
  let status: DebugSessionStatus | undefined;
  using world = collect(() => status);
  await vi.advanceTimersByTimeAsync(100);
  expect(world.onRecorded).not.toHaveBeenCalled();
  status = placed({ phase: 'Finished' });
  await vi.advanceTimersByTimeAsync(2_000);
  expect(world.onRecorded).toHaveBeenCalledOnce();
});

test('a recording of a session that ended without a node is nobody’s: it is not asked for again and again', async () => {
  using world = collect(() => ({ phase: 'Failed' }));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(world.recordings).toHaveBeenCalledOnce();
  expect(world.onRecorded).not.toHaveBeenCalled();
});
