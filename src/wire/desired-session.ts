import { recordingFailures } from '../api/debug-profile.ts';
import { visibilities } from '../api/debug-session.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import { type DesiredSession, limits, type RecordingOrder } from './agent-protocol.ts';
import { Fields } from './fields.ts';
import { parseRules } from './rules.ts';

/** The kernel's own bound for one argument (MAX_ARG_STRLEN is 128 KiB) is over what a whole request may have. */
const maxArguments = 1024;
const maxArgumentLength = 128 * 1024;
const maxId = 0xffff_fffe;
/** A month: a longer session is a mistake, and setTimeout takes no more than 2^31 ms. */
const maxDurationMs = 2 ** 31 - 1;
/** UIDs name cgroups and files: whatever could be a path is refused. */
const uidPattern = /^[0-9a-zA-Z][0-9a-zA-Z-]{0,62}$/;

export const isSessionUid = (text: string): boolean => uidPattern.test(text);

/** @throws CrashcartError Invalid, naming the field. Fields that are not known are dropped. */
export function parseDesiredSession(value: unknown): DesiredSession {
  const session = new Fields(value, 'session');
  const pod = session.object('pod');
  const container = session.object('container');
  const uid = session.text('uid', 63);
  if (!isSessionUid(uid)) throw new CrashcartError(reasons.Invalid, 'session.uid must be letters, digits and dashes');
  return {
    uid,
    namespace: session.text('namespace', 63),
    name: session.text('name'),
    pod: { name: pod.text('name'), uid: pod.text('uid', 128) },
    container: { name: container.text('name', 63), id: container.text('id', 512) },
    toolbox: session.text('toolbox', 63),
    profile: session.text('profile', 63),
    rules: parseRules(session),
    ...session.optional('command', parseCommand),
    tty: session.flag('tty'),
    stdin: session.flag('stdin'),
    visibility: session.oneOf('visibility', visibilities),
    ...session.optional('user', parseUser),
    maxDurationMs: session.integer('maxDurationMs', 1, maxDurationMs),
    idleTimeoutMs: session.integer('idleTimeoutMs', 1, maxDurationMs),
    ...session.optional('recording', parseRecording),
    ...session.optional('detachGraceMs', (fields, name) => fields.integer(name, 1, maxDurationMs)),
    ...session.optional('placement', (fields, name) => fields.text(name, limits.placementLength)),
  };
}

const parseCommand = (session: Fields): readonly string[] =>
  session.list('command', maxArguments, (argument) => {
    // A NUL ends the argument for the kernel: what runs would not be what was asked for, reviewed and logged.
    if (typeof argument === 'string' && argument.length <= maxArgumentLength && !argument.includes('\0')) {
      return argument;
    }
    throw new CrashcartError(reasons.Invalid, 'session.command must be a list of texts without NUL');
  });

function parseUser(session: Fields): { readonly uid?: number; readonly gid?: number } {
  const user = session.object('user');
  const id = (fields: Fields, name: string): number => fields.integer(name, 0, maxId);
  return { ...user.optional('uid', id), ...user.optional('gid', id) };
}

function parseRecording(session: Fields): RecordingOrder {
  const recording = session.object('recording');
  return {
    failure: recording.oneOf('failure', recordingFailures),
    ...recording.optional('user', (fields, name) => fields.text(name, 1024)),
    ...recording.optional('reason', (fields, name) => fields.text(name, 4096)),
  };
}
