import { clientModes } from '../api/debug-session.ts';
import { CrashcartError, isReason, type Reason, reasons } from '../base/errors.ts';
import {
  type Identity,
  limits,
  type ObservedClient,
  type ObservedExit,
  type ObservedRecording,
  type ObservedSession,
  recordingStates,
  type SessionEvent,
  type StoredRecording,
} from './agent-protocol.ts';
import { isSessionUid } from './desired-session.ts';
import { Fields } from './fields.ts';

const observedPhases = ['Preparing', 'Running', 'Finished', 'Failed'] as const;
/** Goes into a condition of the DebugSession, whose messages the API server bounds at 32 KiB. */
const maxMessageLength = 4096;
const maxTokenLength = 16 * 1024;
const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

/** What an agent says of itself. @throws CrashcartError Invalid */
export function parseIdentity(value: unknown): Identity {
  const identity = new Fields(value, 'identity');
  return {
    token: identity.text('token', maxTokenLength),
    version: identity.text('version', 128),
    instance: identity.text('instance', 128),
  };
}

/** @throws CrashcartError Invalid, naming the field */
export function parseObservedSession(value: unknown): ObservedSession {
  const session = new Fields(value, 'session');
  return {
    uid: session.text('uid', 63),
    namespace: session.text('namespace', 63),
    name: session.text('name'),
    phase: session.oneOf('phase', observedPhases),
    ...session.optional('startedAt', timestamp),
    ...session.optional('failure', parseFailure),
    ...session.optional('exit', parseExit),
    attached: session.integer('attached', 0, Number.MAX_SAFE_INTEGER),
    ...session.optional('clients', (fields, name) => fields.list(name, limits.clientsPerSession, parseClient)),
    ...session.optional('recording', parseRecording),
    ...session.optional('maxDurationMs', (fields, name) => fields.integer(name, 0, Number.MAX_SAFE_INTEGER)),
    ...session.optional('placement', (fields, name) => fields.text(name, limits.placementLength)),
    ...session.optional('podUid', (fields, name) => fields.text(name, 63)),
    cleanedUp: session.flag('cleanedUp'),
    ...session.optional('leftovers', (fields, name) => fields.text(name, maxMessageLength)),
  };
}

/** @throws CrashcartError Invalid, naming the field */
export function parseSessionEvent(value: unknown): SessionEvent {
  const event = new Fields(value, 'event');
  const type = event.oneOf('type', ['list', 'changed', 'forgotten']);
  switch (type) {
    case 'list':
      return { type, sessions: event.list('sessions', limits.sessionsPerAgent * 4, parseObservedSession) };
    case 'changed':
      return { type, session: parseObservedSession(event.value('session')) };
    case 'forgotten':
      return { type, uid: event.text('uid', 63) };
  }
}

function parseClient(value: unknown): ObservedClient {
  const client = new Fields(value, 'client');
  return {
    user: client.text('user', limits.userLength),
    since: timestamp(client, 'since'),
    mode: client.oneOf('mode', clientModes),
  };
}

const hexSha256 = /^[0-9a-f]{64}$/;

function parseRecording(session: Fields): ObservedRecording {
  const recording = session.object('recording');
  return {
    state: recording.oneOf('state', recordingStates),
    bytes: recording.integer('bytes', 0, Number.MAX_SAFE_INTEGER),
    ...recording.optional('sha256', checksum),
    ...recording.optional('message', (fields, name) => fields.text(name, maxMessageLength)),
  };
}

/** The recordings of a node. @throws CrashcartError Invalid, naming the field */
export function parseStoredRecordings(value: unknown): readonly StoredRecording[] {
  return new Fields(value, 'list').list('recordings', limits.recordings, parseStoredRecording);
}

function parseStoredRecording(value: unknown): StoredRecording {
  const recording = new Fields(value, 'recording');
  const uid = recording.text('uid', 63);
  if (!isSessionUid(uid)) throw new CrashcartError(reasons.Invalid, 'recording.uid must be letters, digits and dashes');
  return {
    uid,
    namespace: name(recording, 'namespace', 63),
    session: name(recording, 'session', 253),
    bytes: recording.integer('bytes', 1, Number.MAX_SAFE_INTEGER),
    sha256: checksum(recording, 'sha256'),
    complete: recording.flag('complete'),
  };
}

/** Names become parts of a path or a key in the store: whatever could be more than a part of it is refused. */
function name(fields: Fields, field: string, maxLength: number): string {
  const text = fields.text(field, maxLength);
  if (/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(text)) return text;
  throw new CrashcartError(reasons.Invalid, `recording.${field} must be a name of Kubernetes`);
}

function checksum(fields: Fields, field: string): string {
  const text = fields.text(field, 64);
  if (hexSha256.test(text)) return text;
  throw new CrashcartError(reasons.Invalid, `${field} must be a SHA-256 in hex`);
}

function parseFailure(session: Fields): { readonly reason: Reason; readonly message: string } {
  const failure = session.object('failure');
  return { reason: reasonOf(failure), message: failure.text('message', maxMessageLength) };
}

function parseExit(session: Fields): ObservedExit {
  const exit = session.object('exit');
  return {
    code: exit.integer('code', 0, 255),
    ...exit.optional('signal', (fields, name) => fields.text(name, 32)),
    reason: reasonOf(exit),
    at: timestamp(exit, 'at'),
  };
}

/** An agent newer than this gateway may know reasons that this one does not: they are Internal here, never dropped. */
function reasonOf(fields: Fields): Reason {
  const reason = fields.text('reason', 64);
  return isReason(reason) ? reason : reasons.Internal;
}

/** Written into the object's status, whose schema wants a date-time: a wrong one would fail every later write. */
function timestamp(fields: Fields, name: string): string {
  const text = fields.text(name, 40);
  if (!rfc3339.test(text) || Number.isNaN(Date.parse(text))) {
    throw new CrashcartError(reasons.Invalid, `${name} must be an RFC 3339 time`);
  }
  return text;
}
