/** What is said of a session in Events, on it and on its pod: who, with which profile, why, how it ended. */
import type { DebugSession, DebugSessionStatus } from '../api/debug-session.ts';
import type { Action } from './situation.ts';

/**
 * The Event of the step from the session's last status to `status`, if it is one that people want to know of. The one of the end says
 * everything: of a session that is over in a moment it is the only one.
 */
export function transitionEvents(session: DebugSession, status: DebugSessionStatus): readonly Action[] {
  if (session.status?.phase === status.phase) return [];
  const { name } = session.metadata;
  const ready = status.conditions?.find((each) => each.type === 'Ready');
  const container = `container "${status.container ?? session.spec.target.pod.container ?? ''}"`;
  const { profile, requestedBy, reason } = session.spec;
  const who = `debug session ${name}${requestedBy ? ` of ${requestedBy.username}` : ''}`;
  const why = `with profile ${profile}${reason ? `, because: ${reason}` : ''}`;
  switch (status.phase) {
    case 'Running':
      return [event('Normal', 'DebugSessionStarted', `${who} runs in ${container} ${why}`)];
    case 'Finished': {
      const from = status.startedAt ? `, from ${status.startedAt}` : '';
      return [
        event('Normal', 'DebugSessionEnded', `${who} in ${container}${from}: ${ready?.message ?? ''}; it ran ${why}`),
      ];
    }
    case 'Failed':
      return [event('Warning', ready?.reason ?? 'Failed', `${who}: ${ready?.message ?? ''}`)];
    default:
      return [];
  }
}

export const event = (
  level: 'Normal' | 'Warning',
  reason: string,
  message: string,
  about: 'session' | 'session-and-pod' = 'session-and-pod',
): Action & { readonly type: 'event' } => ({ type: 'event', about, level, reason, message });
