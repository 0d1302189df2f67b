import type { DebugProfile, RecordingFailure } from '../api/debug-profile.ts';
import type { DebugSession } from '../api/debug-session.ts';
import { parseDuration } from '../base/duration.ts';
import type { DesiredSession, ObservedSession, RecordingOrder } from '../wire/agent-protocol.ts';
import type { ResolvedTarget } from './target.ts';

/** The whole of what an agent is told; undefined when a duration cannot be read. The profile's rules travel with it: the agent asks nobody. */
export function desiredSession(
  { metadata, spec }: DebugSession,
  target: ResolvedTarget,
  { rules, bounds }: Pick<DebugProfile, 'rules' | 'bounds'>,
): DesiredSession | undefined {
  const { maxDuration, idleTimeout, detachGrace } = effective(spec, bounds);
  const maxDurationMs = parseDuration(maxDuration);
  const idleTimeoutMs = parseDuration(idleTimeout);
  const detachGraceMs = parseDuration(detachGrace);
  if (maxDurationMs === undefined || idleTimeoutMs === undefined || detachGraceMs === undefined) return undefined;
  return {
    uid: metadata.uid,
    namespace: metadata.namespace,
    name: metadata.name,
    pod: { name: spec.target.pod.name, uid: target.podUid },
    container: { name: target.container, id: target.containerId },
    toolbox: spec.toolbox,
    profile: spec.profile,
    rules,
    ...(spec.command ? { command: spec.command } : {}),
    tty: spec.tty,
    stdin: spec.stdin,
    visibility: spec.visibility,
    ...(spec.user ? { user: spec.user } : {}),
    maxDurationMs,
    idleTimeoutMs,
    detachGraceMs,
    ...(bounds.recording === 'None' ? {} : { recording: recordingOrder(spec, bounds.recordingFailure) }),
  };
}

/** What its agent is told of a running session that may last longer now; undefined where that is not so. Of such an order only the duration counts there. */
export function extendedSession(
  session: DebugSession,
  observed: ObservedSession,
  profile: Pick<DebugProfile, 'rules' | 'bounds'>,
): DesiredSession | undefined {
  const { nodeName, podUID, container, containerID } = session.status ?? {};
  if (!nodeName || !podUID || !container || !containerID || observed.maxDurationMs === undefined) return undefined;
  const target = { node: nodeName, podUid: podUID, container, containerId: containerID };
  const desired = desiredSession(session, target, profile);
  return desired && desired.maxDurationMs > observed.maxDurationMs ? desired : undefined;
}

const recordingOrder = ({ requestedBy, reason }: DebugSession['spec'], failure: RecordingFailure): RecordingOrder => ({
  failure,
  ...(requestedBy ? { user: requestedBy.username } : {}),
  ...(reason === undefined ? {} : { reason }),
});

type Durations = Pick<DebugSession['spec'], 'maxDuration' | 'idleTimeout' | 'detachGrace'>;

/** What counts of the durations of a spec, within the bounds of its profile. */
export const effective = (spec: Durations, bounds: Durations): Durations => ({
  maxDuration: shorter(spec.maxDuration, bounds.maxDuration),
  idleTimeout: shorter(spec.idleTimeout, bounds.idleTimeout),
  detachGrace: shorter(spec.detachGrace, bounds.detachGrace),
});

/** The shorter of two durations; what cannot be read is passed on, for its own error. */
function shorter(asked: string, bound: string): string {
  const [askedMs, boundMs] = [parseDuration(asked), parseDuration(bound)];
  return askedMs !== undefined && boundMs !== undefined && boundMs < askedMs ? bound : asked;
}
