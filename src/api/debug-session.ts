/** The DebugSession as it stands in the API server: crds/debugsession.yaml is the same in OpenAPI, defaults filled in by the server. */
export const visibilities = ['Session', 'Container'] as const;
/** Who can see the toolbox: only the session (a private copy of the mount namespace), or the whole container (decision D6). */
export type Visibility = (typeof visibilities)[number];

export const profiles = ['general', 'baseline', 'restricted', 'netadmin', 'sysadmin'] as const;
/** The profiles that come with Crashcart; the names and their meaning are those of `kubectl debug`. Any DebugProfile's name will do. */
export type ProfileName = (typeof profiles)[number];

export const phases = ['Pending', 'Preparing', 'Running', 'Finished', 'Failed'] as const;
/**
 * - Pending: seen, target not yet handed to an agent
 * - Preparing: the agent of the node was told to start it
 * - Running: the command runs; one can attach
 * - Finished: the command ran and has ended, by itself or by a limit; `status.exit` says how
 * - Failed: the command never ran, or its end was lost with its node; the Ready condition says why
 */
export type Phase = (typeof phases)[number];
export const isTerminal = (phase: Phase | undefined): boolean => phase === 'Finished' || phase === 'Failed';

export interface ObjectMeta {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation: number;
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly finalizers?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface PodTarget {
  readonly name: string;
  /** May be left out where the pod has one container only, or names a default (kubectl.kubernetes.io/default-container). */
  readonly container?: string;
}

/** Who has created the session, as the API server knows them: an admission policy lets nothing else pass. */
export interface Requester {
  readonly username: string;
  readonly uid?: string;
  readonly groups: readonly string[];
}

/** Who has made a session's maxDuration longer: an admission policy lets nothing else pass. */
export type Extender = Omit<Requester, 'groups'>;

export interface DebugSessionSpec {
  readonly target: { readonly pod: PodTarget };
  /** Name of a toolbox that the agents carry. Default `default`. */
  readonly toolbox: string;
  /** Name of a DebugProfile. */
  readonly profile: string;
  /** Why the session is opened, for whoever reads the record. */
  readonly reason?: string;
  /** Absent only in objects from before the field existed, or where the admission policies were missing. */
  readonly requestedBy?: Requester;
  /** argv, looked up on the toolbox's PATH; left out: an interactive bash. */
  readonly command?: readonly string[];
  readonly tty: boolean;
  /** Without a tty: whether standard input stays open for a client. False: the command reads end of file at once. */
  readonly stdin: boolean;
  readonly visibility: Visibility;
  /** Default: the container's own. */
  readonly user?: { readonly uid?: number; readonly gid?: number };
  /** Durations as `1h30m`. */
  readonly maxDuration: string;
  /** The last one who did; nobody has, as long as it is absent. */
  readonly extendedBy?: Extender;
  readonly idleTimeout: string;
  /** Since the last client left. */
  readonly detachGrace: string;
  readonly ttlAfterFinished: string;
}

export const conditionTypes = ['TargetResolved', 'Ready', 'CleanedUp'] as const;
export type ConditionType = (typeof conditionTypes)[number];

export interface Condition {
  readonly type: ConditionType;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly observedGeneration: number;
  readonly lastTransitionTime: string;
  /** A `Reason` of base/errors.ts, or one word of progress. */
  readonly reason: string;
  readonly message: string;
}

export interface Exit {
  /** 0..255, as a shell gives it: 126, 127, 128 + signal. */
  readonly code: number;
  /** `SIGKILL` and the like, when a signal ended it. */
  readonly signal?: string;
  /** Completed | Killed | MaxDurationExceeded | IdleTimeout | Deleted | ContainerExited | AgentLost | AgentRestarted … */
  readonly reason: string;
  readonly at: string;
}

export interface RecordingStatus {
  /** Recording | Complete | Incomplete (it stopped before the session did, or never began; `message` says why). */
  readonly state: string;
  /** `node:NAME`, `s3://BUCKET/KEY` or `directory:PATH`. */
  readonly location: string;
  readonly bytes: number;
  /** Of the whole file, in hex; once nothing is written any more. */
  readonly sha256?: string;
  readonly message?: string;
}

export const clientModes = ['Writer', 'Observer'] as const;
/** Writer: whose keys reach the session, and whose window's size it has. */
export type ClientMode = (typeof clientModes)[number];

export interface AttachedClient {
  readonly user: string;
  readonly since: string;
  readonly mode: ClientMode;
}

export interface DebugSessionStatus {
  readonly phase?: Phase;
  readonly observedGeneration?: number;
  readonly conditions?: readonly Condition[];
  readonly nodeName?: string;
  readonly podUID?: string;
  readonly container?: string;
  readonly containerID?: string;
  readonly startedAt?: string;
  readonly finishedAt?: string;
  readonly exit?: Exit;
  /** Who is attached, the writer first; a few seconds behind. Absent: nobody. */
  readonly attached?: readonly AttachedClient[];
  /** Set when the profile asks for a recording. */
  readonly recording?: RecordingStatus;
  /** The command line that opens it: `kubectl crashcart attach NAME -n NAMESPACE`. */
  readonly attach?: string;
  /** Generation of the DebugProfile whose rules the session got. */
  readonly profileGeneration?: number;
  /** What counts in the end, where the profile allows less than the spec asks for. */
  readonly maxDuration?: string;
  readonly idleTimeout?: string;
  readonly detachGrace?: string;
}

export interface DebugSession {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly spec: DebugSessionSpec;
  readonly status?: DebugSessionStatus;
}
