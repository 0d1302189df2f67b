/** DebugSessions as they come from outside: checked here once, trusted afterwards. */
import {
  type Condition,
  conditionTypes,
  type DebugSession,
  type DebugSessionSpec,
  type DebugSessionStatus,
  type Exit,
  type ObjectMeta,
  phases,
  profiles,
  visibilities,
} from './debug-session.ts';

/** `path` is where in the object it is wrong: `spec.target.pod.name`. */
export class ParseError extends Error {
  override readonly name = 'ParseError';
  readonly path: string;

  constructor(path: string, expected: string) {
    super(`${path}: expected ${expected}`);
    this.path = path;
  }
}

type Fields = Readonly<Record<string, unknown>>;

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
    profile: oneOf(profiles, spec, 'profile', 'spec') ?? 'general',
    ...some('command', commandOf(spec)),
    tty: boolean(spec, 'tty', 'spec') ?? true,
    stdin: boolean(spec, 'stdin', 'spec') ?? false,
    visibility: oneOf(visibilities, spec, 'visibility', 'spec') ?? 'Session',
    ...some(
      'user',
      user && { ...some('uid', number(user, 'uid', 'spec.user')), ...some('gid', number(user, 'gid', 'spec.user')) },
    ),
    maxDuration: optionalText(spec, 'maxDuration', 'spec') ?? '1h',
    idleTimeout: optionalText(spec, 'idleTimeout', 'spec') ?? '15m',
    ttlAfterFinished: optionalText(spec, 'ttlAfterFinished', 'spec') ?? '1h',
  };
}

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
    ...some('attach', optionalText(status, 'attach', at)),
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

function fields(value: unknown, at: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw new ParseError(at, 'an object');
}

function optionalText(from: Fields, key: string, at: string): string | undefined {
  const value = from[key];
  if (value === undefined || typeof value === 'string') return value;
  throw new ParseError(`${at}.${key}`, 'a string');
}

function text(from: Fields, key: string, at: string): string {
  return required(optionalText(from, key, at) || undefined, `${at}.${key}`);
}

function number(from: Fields, key: string, at: string): number | undefined {
  const value = from[key];
  if (value === undefined || (typeof value === 'number' && Number.isSafeInteger(value))) return value;
  throw new ParseError(`${at}.${key}`, 'an integer');
}

function boolean(from: Fields, key: string, at: string): boolean | undefined {
  const value = from[key];
  if (value === undefined || typeof value === 'boolean') return value;
  throw new ParseError(`${at}.${key}`, 'true or false');
}

function oneOf<T extends string>(values: readonly T[], from: Fields, key: string, at: string): T | undefined {
  const value = from[key];
  if (value === undefined) return undefined;
  const found = values.find((each) => each === value);
  if (found !== undefined) return found;
  throw new ParseError(`${at}.${key}`, `one of ${values.join(', ')}`);
}

function list(from: Fields, key: string, at: string): readonly unknown[] | undefined {
  const value = from[key];
  if (value === undefined || Array.isArray(value)) return value;
  throw new ParseError(`${at}.${key}`, 'a list');
}

function textList(from: Fields, key: string, at: string): readonly string[] | undefined {
  return list(from, key, at)?.map((each, index) => {
    if (typeof each === 'string') return each;
    throw new ParseError(`${at}.${key}[${index}]`, 'a string');
  });
}

function textMap(from: Fields, key: string, at: string): Readonly<Record<string, string>> | undefined {
  if (from[key] === undefined) return undefined;
  const map = fields(from[key], `${at}.${key}`);
  for (const name of Object.keys(map)) text({ [name]: map[name] || ' ' }, name, `${at}.${key}`);
  return map as Readonly<Record<string, string>>;
}

function required<T>(value: T | undefined, path: string): T {
  if (value !== undefined) return value;
  throw new ParseError(path, 'a value');
}

/** `{key: value}`, or nothing at all where there is no value. */
function some<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: V });
}
