import type { DebugSession } from '../api/debug-session.ts';
import { apiVersion, kind } from '../api/names.ts';
import type { ForeignVisit } from '../gateway/admit.ts';
import type { UserInfo } from '../gateway/kubernetes.ts';
import type { EventRecorder } from '../kube/events.ts';

/** Whoever comes to a session that is not theirs stands in its Events, let in or not. */
export function recordForeignVisit(
  events: Pick<EventRecorder, 'record'>,
  { metadata, spec, status }: DebugSession,
  user: UserInfo,
  { mode, refused }: ForeignVisit,
): void {
  const { namespace, name, uid } = metadata;
  const owner = spec.requestedBy?.username ?? 'somebody unknown';
  const does = mode === 'observe' ? 'reads along in' : 'attached to';
  const text =
    refused === undefined
      ? ({
          type: 'Normal',
          reason: mode === 'observe' ? 'DebugSessionObserved' : 'DebugSessionJoined',
          message: `${user.name} ${does} debug session ${name} of ${owner}`,
        } as const)
      : ({
          type: 'Warning',
          reason: 'DebugSessionRefused',
          message: `${user.name} was refused at debug session ${name} of ${owner}: ${refused}`,
        } as const);
  const session = { apiVersion, kind, namespace, name, uid };
  const podUid = refused === undefined ? status?.podUID : undefined;
  const pod = podUid && { apiVersion: 'v1', kind: 'Pod', namespace, name: spec.target.pod.name, uid: podUid };
  events.record(session, text, pod || undefined);
  if (pod) events.record(pod, text, session);
}
