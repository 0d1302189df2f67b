/** What is said of a session in Events, on it and on its pod: who, with which profile, why, who gave it more time, how it ended. */
import type { DebugSession, DebugSessionStatus } from '../api/debug-session.ts';
import { writeDuration } from '../base/duration.ts';
import { reasons } from '../base/errors.ts';
import type { EventAction } from './situation.ts';

/**
 * The Event of the step from the session's last status to `status`, if it is one that people want to know of. The pod's owner is told when somebody
 * comes in. The end says everything: on the session, and on the pod, too, unless the pod's Event of the start stands (`podTold`) and all that happened
 * since is that the command ended.
 */
export function transitionEvents(
  session: DebugSession,
  status: DebugSessionStatus,
  podTold: boolean,
): readonly EventAction[] {
  if (session.status?.phase === status.phase) return [];
  const ready = status.conditions?.find((each) => each.type === 'Ready');
  const container = `container "${status.container ?? session.spec.target.pod.container ?? ''}"`;
  const { profile, reason } = session.spec;
  const who = sessionOf(session);
  const why = `with profile ${profile}${reason ? `, because: ${reason}` : ''}`;
  switch (status.phase) {
    case 'Running':
      return [event('Normal', 'DebugSessionStarted', `${who} runs in ${container} ${why}`, 'pod')];
    case 'Finished': {
      const about = podTold && status.exit?.reason === reasons.Completed ? 'session' : 'session-and-pod';
      const message = `${who} in ${container}${timesOf(status)}: ${ready?.message ?? ''}; it ran ${why}`;
      return [event('Normal', 'DebugSessionEnded', message, about)];
    }
    case 'Failed': {
      const ran = status.startedAt ? 'it ran' : 'it was asked for';
      return [event('Warning', ready?.reason ?? 'Failed', `${who}: ${ready?.message ?? ''}; ${ran} ${why}`)];
    }
    default:
      return [];
  }
}

function timesOf({ startedAt, finishedAt }: DebugSessionStatus): string {
  if (!startedAt) return '';
  const ms = Date.parse(finishedAt ?? '') - Date.parse(startedAt);
  return `, from ${startedAt}${ms >= 0 ? ` for ${writeDuration(ms)}` : ''}`;
}

/** `lastsMs`: as its agent counted so far, and as it is told to count. */
export function extensionEvent(
  session: DebugSession,
  lastsMs: { readonly from: number; readonly to: number },
): EventAction {
  const started = Date.parse(session.status?.startedAt ?? '');
  const end = Number.isNaN(started)
    ? 'from its start'
    : `until ${new Date(started + lastsMs.to).toISOString().slice(0, 19)}Z`;
  return event(
    'Normal',
    'DebugSessionExtended',
    `${sessionOf(session)} was extended${byWhom(session)}: ${writeDuration(lastsMs.to - lastsMs.from)} more, it may last ${writeDuration(lastsMs.to)}, ${end}`,
  );
}

/** One that was extended before any agent had it; by how much is not known any more. */
export function earlyExtensionEvents(session: DebugSession, maxDuration: string): readonly EventAction[] {
  if (!session.spec.extendedBy) return [];
  const message = `${sessionOf(session)} was extended${byWhom(session)} before it began: it may last ${maxDuration} from its start`;
  return [event('Normal', 'DebugSessionExtended', message)];
}

/** Nobody, where its profile has been given a longer bound than when it began. */
const byWhom = ({ spec }: DebugSession): string => (spec.extendedBy ? ` by ${spec.extendedBy.username}` : '');

const sessionOf = ({ metadata, spec }: DebugSession): string =>
  `debug session ${metadata.name}${spec.requestedBy ? ` of ${spec.requestedBy.username}` : ''}`;

export const event = (
  level: 'Normal' | 'Warning',
  reason: string,
  message: string,
  about: EventAction['about'] = 'session-and-pod',
): EventAction => ({ type: 'event', about, level, reason, message });
