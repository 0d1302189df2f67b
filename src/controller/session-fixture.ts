/** Builders for tests: a session, a pod and a situation in which all is well, each with what a test changes. */
import type { DebugProfile, ProfileBounds } from '../api/debug-profile.ts';
import type { DebugSession, DebugSessionSpec, DebugSessionStatus, ObjectMeta } from '../api/debug-session.ts';
import { apiVersion, finalizer, kind } from '../api/names.ts';
import { shippedProfiles } from '../api/profile-rules.ts';
import type { ObservedSession } from '../wire/agent-protocol.ts';
import type { Container, Pod } from './pod.ts';
import type { Situation } from './situation.ts';

export const nowMs = Date.parse('2026-11-24T10:00:00Z');
export const secondsAgo = (seconds: number): string =>
  `${new Date(nowMs - seconds * 1_000).toISOString().slice(0, 19)}Z`;

export interface SessionChanges {
  readonly metadata?: Partial<ObjectMeta>;
  readonly spec?: Partial<DebugSessionSpec>;
  readonly status?: DebugSessionStatus;
}

export function makeSession({ metadata, spec, status }: SessionChanges = {}): DebugSession {
  return {
    apiVersion,
    kind,
    metadata: {
      name: 'look',
      namespace: 'shop',
      uid: '11111111-2222-3333-4444-555555555555',
      resourceVersion: '1',
      generation: 1,
      creationTimestamp: secondsAgo(0),
      finalizers: [finalizer],
      ...metadata,
    },
    spec: {
      target: { pod: { name: 'web' } },
      toolbox: 'default',
      profile: 'general',
      requestedBy: { username: 'alice', groups: [] },
      tty: true,
      stdin: false,
      visibility: 'Session',
      maxDuration: '1h',
      idleTimeout: '15m',
      detachGrace: '1h',
      ttlAfterFinished: '10m',
      ...spec,
    },
    ...(status ? { status } : {}),
  };
}

export const running = (name: string, role: Container['role'] = 'app'): Container => ({
  name,
  role,
  state: { is: 'running', id: `containerd://${name}` },
});

export const makePod = (changes: Partial<Pod> = {}): Pod => ({
  name: 'web',
  namespace: 'shop',
  uid: 'pod-1',
  nodeName: 'node-a',
  phase: 'Running',
  containers: [running('app')],
  ...changes,
});

export const makeObserved = (changes: Partial<ObservedSession> = {}): ObservedSession => ({
  uid: '11111111-2222-3333-4444-555555555555',
  namespace: 'shop',
  name: 'look',
  phase: 'Running',
  startedAt: secondsAgo(5),
  attached: 0,
  cleanedUp: false,
  ...changes,
});

/** The status of a session that has been told to its agent. */
export const placed = (changes: Partial<DebugSessionStatus> = {}): DebugSessionStatus => ({
  phase: 'Preparing',
  nodeName: 'node-a',
  podUID: 'pod-1',
  container: 'app',
  containerID: 'containerd://app',
  ...changes,
});

export const makeProfile = (bounds: Partial<ProfileBounds> = {}): DebugProfile => ({
  name: 'general',
  generation: 3,
  rules: shippedProfiles.general,
  bounds: {
    visibilities: ['Session', 'Container'],
    maxDuration: '24h',
    idleTimeout: '24h',
    detachGrace: '24h',
    recording: 'None',
    recordingFailure: 'End',
    requireReason: false,
    ...bounds,
  },
});

export const makeSituation = (changes: Partial<Situation> = {}): Situation => ({
  session: makeSession(),
  pod: makePod(),
  node: 'unknown',
  agent: { connected: true, sessions: 'listed' },
  observed: undefined,
  companyForMs: 0,
  agentLossMs: 300_000,
  dispatched: false,
  inherited: false,
  podTold: false,
  profile: makeProfile(),
  policies: { intact: true, sinceMs: 0 },
  nowMs,
  ...changes,
});
