import type { DebugSession } from '../api/debug-session.ts';
import { parseDuration } from '../base/duration.ts';
import type { DesiredSession } from '../wire/agent-protocol.ts';
import type { ResolvedTarget } from './target.ts';

/** The whole of what an agent is told; undefined when a duration of the spec cannot be read. */
export function desiredSession({ metadata, spec }: DebugSession, target: ResolvedTarget): DesiredSession | undefined {
  const maxDurationMs = parseDuration(spec.maxDuration);
  const idleTimeoutMs = parseDuration(spec.idleTimeout);
  if (maxDurationMs === undefined || idleTimeoutMs === undefined) return undefined;
  return {
    uid: metadata.uid,
    namespace: metadata.namespace,
    name: metadata.name,
    pod: { name: spec.target.pod.name, uid: target.podUid },
    container: { name: target.container, id: target.containerId },
    toolbox: spec.toolbox,
    profile: spec.profile,
    ...(spec.command ? { command: spec.command } : {}),
    tty: spec.tty,
    stdin: spec.stdin,
    visibility: spec.visibility,
    ...(spec.user ? { user: spec.user } : {}),
    maxDurationMs,
    idleTimeoutMs,
  };
}
