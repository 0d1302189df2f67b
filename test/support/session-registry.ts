/** A registry of sessions over in-memory processes, for tests with a fake clock. */
import { vi } from 'vitest';
import { shippedProfiles } from '../../src/api/profile-rules.ts';
import { silentLogger } from '../../src/base/log.ts';
import { Registry } from '../../src/node-agent/sessions/registry.ts';
import type { Attachment, AttachRequest, Frame } from '../../src/node-agent/sessions/sessions.ts';
import type { DesiredSession, ObservedSession, SessionEvent } from '../../src/wire/agent-protocol.ts';
import { exitOfStatus } from '../../src/wire/status.ts';
import { InMemoryProcess } from './in-memory-process.ts';

export const desired = (uid: string, over: Partial<DesiredSession> = {}): DesiredSession => ({
  uid,
  namespace: 'default',
  name: `session-${uid}`,
  pod: { name: 'web-0', uid: 'pod-uid' },
  container: { name: 'web', id: 'containerd://abc' },
  toolbox: 'default',
  profile: 'general',
  rules: shippedProfiles.general,
  tty: false,
  stdin: true,
  visibility: 'Session',
  maxDurationMs: 3_600_000,
  idleTimeoutMs: 900_000,
  ...over,
});

export const everything: AttachRequest = { stdin: true, stdout: true, stderr: true, tty: false };

export function setUp({ tty = false, maxSessions = 256 } = {}) {
  const processes: InMemoryProcess[] = [];
  const containerExited = Promise.withResolvers<void>();
  const launch = vi.fn(async () => {
    const process = new InMemoryProcess({ tty });
    processes.push(process);
    return { process, startedAt: new Date().toISOString(), containerExited: containerExited.promise, release };
  });
  const release = vi.fn();
  const observer = { launched: vi.fn(), transferred: vi.fn(), teardownFailed: vi.fn() };
  const registry = new Registry({ launch, log: silentLogger, observer, maxSessions });
  const events: SessionEvent[] = [];
  registry.onEvent((event) => events.push(event));
  return { registry, processes, launch, release, observer, events, containerExited };
}

/** Lets promises and streams settle without moving the clock. */
export const settle = async () => {
  for (let round = 0; round < 20; round += 1) await vi.advanceTimersByTimeAsync(0);
};

export const observed = (registry: Registry, uid = 'a'): ObservedSession =>
  registry.list().find((one) => one.uid === uid)!;

export async function readAll({ output }: Attachment): Promise<Frame[]> {
  const frames: Frame[] = [];
  for await (const frame of output) frames.push(frame as Frame);
  return frames;
}

export const bytesOf = (frames: readonly Frame[], channel: number): string =>
  Buffer.concat(frames.filter((frame) => frame.channel === channel).map(({ payload }) => payload)).toString();

export const exitOf = (frames: readonly Frame[]) => exitOfStatus(frames.at(-1)!.payload);
