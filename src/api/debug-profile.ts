/** The DebugProfile as it stands in the API server: crds/debugprofile.yaml is the same in OpenAPI. What a session may be (decision D10). */
import { type Visibility, visibilities } from './debug-session.ts';
import { type ProfileRules, type SessionLimits, seccompRules } from './profile-rules.ts';
import { boolean, fields, number, oneOf, optionalText, ParseError, some, text, textList } from './read.ts';

export const recordings = ['None', 'Full'] as const;
/** Full: all that the terminal shows. What was typed and not shown is in none (docs/decisions/recording.md says why there is no third value). */
export type Recording = (typeof recordings)[number];

export const recordingFailures = ['End', 'Continue'] as const;
/** What becomes of a session that cannot be recorded (any more): it does not start, or is ended; or it goes on and its status says so. */
export type RecordingFailure = (typeof recordingFailures)[number];

export interface DebugProfile {
  readonly name: string;
  readonly generation: number;
  /** For the node agent. */
  readonly rules: ProfileRules;
  /** For the controller: what a session of it may ask for. */
  readonly bounds: ProfileBounds;
}

export interface ProfileBounds {
  readonly visibilities: readonly Visibility[];
  /** Absent: any. */
  readonly toolboxes?: readonly string[];
  /** Durations as `1h30m`. */
  readonly maxDuration: string;
  readonly idleTimeout: string;
  readonly detachGrace: string;
  readonly recording: Recording;
  readonly recordingFailure: RecordingFailure;
  readonly requireReason: boolean;
}

/** A DebugProfile; throws ParseError. What the schema defaults is filled in here too. */
export function parseDebugProfile(value: unknown): DebugProfile {
  const object = fields(value, 'object');
  const metadata = fields(object['metadata'], 'metadata');
  const spec = fields(object['spec'] ?? {}, 'spec');
  const toolboxes = textList(spec, 'toolboxes', 'spec');
  return {
    name: text(metadata, 'name', 'metadata'),
    generation: number(metadata, 'generation', 'metadata') ?? 1,
    rules: parseRules(spec),
    bounds: {
      visibilities: (textList(spec, 'visibilities', 'spec') ?? visibilities).filter((each) => isVisibility(each)),
      ...some('toolboxes', toolboxes),
      maxDuration: optionalText(spec, 'maxDuration', 'spec') ?? '24h',
      idleTimeout: optionalText(spec, 'idleTimeout', 'spec') ?? '24h',
      detachGrace: optionalText(spec, 'detachGrace', 'spec') ?? '24h',
      recording: oneOf(recordings, spec, 'recording', 'spec') ?? 'None',
      recordingFailure: oneOf(recordingFailures, spec, 'recordingFailure', 'spec') ?? 'End',
      requireReason: boolean(spec, 'requireReason', 'spec') ?? false,
    },
  };
}

type Fields = ReturnType<typeof fields>;

const isVisibility = (value: string): value is Visibility => visibilities.some((each) => each === value);

function parseRules(spec: Fields): ProfileRules {
  const at = 'spec.capabilities';
  const capabilities = fields(spec['capabilities'] ?? {}, at);
  const add = textList(capabilities, 'add', at) ?? [];
  const drop = textList(capabilities, 'drop', at) ?? [];
  return {
    capabilities: {
      add: add.includes('ALL') ? 'All' : add,
      ...(drop.includes('ALL') ? { drop: 'All' as const } : {}),
    },
    users: oneOf(['Reachable', 'Any'] as const, spec, 'users', 'spec') ?? 'Reachable',
    runAsNonRoot: boolean(spec, 'runAsNonRoot', 'spec') ?? false,
    seccomp: oneOf(seccompRules, spec, 'seccomp', 'spec') ?? 'Container',
    noNewPrivileges: boolean(spec, 'noNewPrivileges', 'spec') ?? false,
    limits: parseLimits(spec['limits']),
  };
}

/** Left out as a whole: the schema's default. Left out inside: no limit. */
function parseLimits(value: unknown): SessionLimits {
  const at = 'spec.limits';
  const limits = fields(value ?? { memory: '1Gi', pids: 1024, cpu: 1 }, at);
  const memory = quantity(limits, 'memory', at);
  return {
    ...some('memoryBytes', memory === undefined ? undefined : Math.floor(memory)),
    ...some('pids', number(limits, 'pids', at)),
    ...some('cpus', quantity(limits, 'cpu', at)),
  };
}

const suffixes: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** A quantity of Kubernetes, as a number of its unit. */
function quantity(from: Fields, key: string, at: string): number | undefined {
  const value = from[key];
  if (value === undefined) return undefined;
  const [, digits, suffix = ''] = /^(\d+(?:\.\d*)?(?:[eE][+-]?\d{1,3})?)([A-Za-z]{0,2})$/.exec(String(value)) ?? [];
  const factor = suffixes[suffix];
  const amount = Number(digits) * (factor ?? Number.NaN);
  if (Number.isFinite(amount) && amount > 0) return amount;
  throw new ParseError(`${at}.${key}`, 'a quantity such as 500m, 2 or 1Gi');
}
