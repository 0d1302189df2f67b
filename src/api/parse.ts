/** DebugSessions as they come from outside: checked here once, trusted afterwards. */
import {
  type AttachedClient,
  type Condition,
  clientModes,
  conditionTypes,
  type DebugSession,
  type DebugSessionSpec,
  type DebugSessionStatus,
  type Exit,
  type Extender,
  type ObjectMeta,
  phases,
  type RecordingStatus,
  type Requester,
  visibilities,
} from './debug-session.ts';
import {
  boolean,
  type Fields,
  fields,
  list,
  number,
  oneOf,
  optionalText,
  required,
  some,
  text,
  textList,
  textMap,
} from './read.ts';

export { ParseError } from './read.ts';

/** A DebugSession; throws ParseError. What the schema defaults is filled in here too, so that an object stored before a default existed can be read. */
export function parseDebugSession(value: unknown): DebugSession {
  const object = fields(value, 'object');
  return {
    apiVersion: text(object, 'apiVersion', 'object'),
    kind: text(object, 'kind', 'object'),
    metadata: parseMetadata(object['metadata']),
    spec: parseSpec(object['spec']),
    ...(object['status'] === undefined ? {} : { status: parseStatus(object['status']) }),
  };
}

function parseMetadata(value: unknown): ObjectMeta {
  const at = 'metadata';
  const metadata = fields(value, at);
  return {
    name: text(metadata, 'name', at),
    namespace: text(metadata, 'namespace', at),
    uid: text(metadata, 'uid', at),
    resourceVersion: text(metadata, 'resourceVersion', at),
    generation: number(metadata, 'generation', at) ?? 1,
    creationTimestamp: text(metadata, 'creationTimestamp', at),
    ...some('deletionTimestamp', optionalText(metadata, 'deletionTimestamp', at)),
    ...some('finalizers', textList(metadata, 'finalizers', at)),
    ...some('labels', textMap(metadata, 'labels', at)),
    ...some('annotations', textMap(metadata, 'annotations', at)),
  };
}

function parseSpec(value: unknown): DebugSessionSpec {
  const spec = fields(value, 'spec');
  const target = fields(spec['target'], 'spec.target');
  const pod = fields(target['pod'], 'spec.target.pod');
  const user = spec['user'] === undefined ? undefined : fields(spec['user'], 'spec.user');
  return {
    target: {
      pod: {
        name: text(pod, 'name', 'spec.target.pod'),
        ...some('container', optionalText(pod, 'container', 'spec.target.pod') || undefined),
      },
    },
    toolbox: optionalText(spec, 'toolbox', 'spec') ?? 'default',
    profile: optionalText(spec, 'profile', 'spec') || 'general',
    ...some('reason', optionalText(spec, 'reason', 'spec') || undefined),
    ...some('requestedBy', spec['requestedBy'] === undefined ? undefined : parseRequester(spec['requestedBy'])),
    ...some('command', commandOf(spec)),
    tty: boolean(spec, 'tty', 'spec') ?? true,
    stdin: boolean(spec, 'stdin', 'spec') ?? false,
    visibility: oneOf(visibilities, spec, 'visibility', 'spec') ?? 'Session',
    ...some(
      'user',
      user && { ...some('uid', number(user, 'uid', 'spec.user')), ...some('gid', number(user, 'gid', 'spec.user')) },
    ),
    maxDuration: optionalText(spec, 'maxDuration', 'spec') ?? '1h',
    ...some('extendedBy', spec['extendedBy'] === undefined ? undefined : parseExtender(spec['extendedBy'])),
    idleTimeout: optionalText(spec, 'idleTimeout', 'spec') ?? '15m',
    detachGrace: optionalText(spec, 'detachGrace', 'spec') ?? '1h',
    ttlAfterFinished: optionalText(spec, 'ttlAfterFinished', 'spec') ?? '1h',
  };
}

function parseRequester(value: unknown): Requester {
  const at = 'spec.requestedBy';
  const requester = fields(value, at);
  return { ...parsePerson(requester, at), groups: textList(requester, 'groups', at) ?? [] };
}

function parseExtender(value: unknown): Extender {
  const at = 'spec.extendedBy';
  return parsePerson(fields(value, at), at);
}

const parsePerson = (person: Fields, at: string): Extender => ({
  username: text(person, 'username', at),
  ...some('uid', optionalText(person, 'uid', at) || undefined),
});

/** An empty list means the same as none. */
function commandOf(spec: Fields): readonly string[] | undefined {
  const command = textList(spec, 'command', 'spec');
  return command?.length === 0 ? undefined : command;
}

function parseStatus(value: unknown): DebugSessionStatus {
  const at = 'status';
  const status = fields(value, at);
  const conditions = list(status, 'conditions', at)?.map((each, index) =>
    parseCondition(each, `status.conditions[${index}]`),
  );
  return {
    ...some('phase', oneOf(phases, status, 'phase', at)),
    ...some('observedGeneration', number(status, 'observedGeneration', at)),
    ...some('conditions', conditions),
    ...some('nodeName', optionalText(status, 'nodeName', at)),
    ...some('podUID', optionalText(status, 'podUID', at)),
    ...some('container', optionalText(status, 'container', at)),
    ...some('containerID', optionalText(status, 'containerID', at)),
    ...some('startedAt', optionalText(status, 'startedAt', at)),
    ...some('finishedAt', optionalText(status, 'finishedAt', at)),
    ...some('exit', status['exit'] === undefined ? undefined : parseExit(status['exit'])),
    ...some(
      'attached',
      list(status, 'attached', at)?.map((each, index) => parseClient(each, `status.attached[${index}]`)),
    ),
    ...some('recording', status['recording'] === undefined ? undefined : parseRecording(status['recording'])),
    ...some('attach', optionalText(status, 'attach', at)),
    ...some('profileGeneration', number(status, 'profileGeneration', at)),
    ...some('maxDuration', optionalText(status, 'maxDuration', at)),
    ...some('idleTimeout', optionalText(status, 'idleTimeout', at)),
    ...some('detachGrace', optionalText(status, 'detachGrace', at)),
  };
}

function parseCondition(value: unknown, at: string): Condition {
  const condition = fields(value, at);
  return {
    type: required(oneOf(conditionTypes, condition, 'type', at), `${at}.type`),
    status: required(oneOf(['True', 'False', 'Unknown'] as const, condition, 'status', at), `${at}.status`),
    observedGeneration: number(condition, 'observedGeneration', at) ?? 0,
    lastTransitionTime: text(condition, 'lastTransitionTime', at),
    reason: text(condition, 'reason', at),
    message: optionalText(condition, 'message', at) ?? '',
  };
}

function parseClient(value: unknown, at: string): AttachedClient {
  const client = fields(value, at);
  return {
    user: text(client, 'user', at),
    since: text(client, 'since', at),
    mode: required(oneOf(clientModes, client, 'mode', at), `${at}.mode`),
  };
}

function parseRecording(value: unknown): RecordingStatus {
  const at = 'status.recording';
  const recording = fields(value, at);
  return {
    state: text(recording, 'state', at),
    location: text(recording, 'location', at),
    bytes: required(number(recording, 'bytes', at), `${at}.bytes`),
    ...some('sha256', optionalText(recording, 'sha256', at)),
    ...some('message', optionalText(recording, 'message', at)),
  };
}

function parseExit(value: unknown): Exit {
  const at = 'status.exit';
  const exit = fields(value, at);
  return {
    code: required(number(exit, 'code', at), `${at}.code`),
    ...some('signal', optionalText(exit, 'signal', at)),
    reason: text(exit, 'reason', at),
    at: text(exit, 'at', at),
  };
}
