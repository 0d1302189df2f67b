import { CrashcartError, isReason, type Reason, reasons } from '../base/errors.ts';

export interface StatusCause {
  readonly reason?: string;
  readonly message?: string;
  readonly field?: string;
}

/** `metav1.Status`: the body of every refusal over HTTP, and the last message of a session (channel 3). */
export interface Status {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: Readonly<Record<string, never>>;
  readonly status: 'Success' | 'Failure';
  readonly message?: string;
  readonly reason?: string;
  readonly details?: { readonly causes?: readonly StatusCause[] };
  readonly code?: number;
}

export interface ExitDescription {
  /** 0..255 as a shell gives it. */
  readonly code: number;
  readonly signal?: string;
  readonly reason: Reason;
  /** Replaces the sentence that would be made of the rest. */
  readonly message?: string;
}

export interface ExitOutcome {
  /** The process's exit code; 255 where the stream failed and no process ended. */
  readonly code: number;
  /** Why it ended, when that was not the command's own exit. */
  readonly reason?: string;
  readonly message?: string;
}

/** client-go reads the exit code from the cause with this reason, under a Status with the reason NonZeroExitCode. */
const exitCodeCause = 'ExitCode';
const nonZeroExitCode = 'NonZeroExitCode';
/** Ours, beside it: why the session ended. */
const endReasonCause = 'EndReason';
/** What ssh gives when the connection, not the command, failed. */
const brokenStreamCode = 255;
/** 128 + SIGKILL: for a session that a limit ended although its command managed to exit with 0. */
const killedCode = 137;

const head = { kind: 'Status', apiVersion: 'v1', metadata: {} } as const;

const endSentences: Partial<Record<Reason, string>> = {
  Killed: 'the session was killed',
  MaxDurationExceeded:
    'the session reached its maxDuration and was ended: start another one, with a longer maxDuration',
  IdleTimeout: 'nobody used the session for its idleTimeout and it was ended: start another one',
  DetachGraceExceeded: 'nobody was attached to the session for its detachGrace and it was ended: start another one',
  Deleted: 'the DebugSession was deleted and its command ended',
  ContainerExited: 'the container ended, and the session with it',
  AgentLost: 'the connection to the node agent was lost: attach again',
  AgentRestarted: 'the node agent restarted and the session ended with it: start another one',
  RecordingFailed:
    'the session could no longer be recorded, which its profile demands, and was ended: see status.recording',
};

/**
 * The status message of a session's end: Success for exit 0 of a command that ended by itself, else NonZeroExitCode, the
 * form that client-go turns into the exit code of kubectl. What a limit, a kill or a loss ended is never a Success.
 */
export function statusOfExit(exit: ExitDescription): Status {
  const byItself = exit.reason === reasons.Completed;
  if (byItself && exit.code === 0) return { ...head, status: 'Success' };
  const code = exit.code === 0 ? killedCode : exit.code & 0xff || killedCode;
  const bySignal = exit.signal ? ` (${exit.signal})` : '';
  const sentence = endSentences[exit.reason] ?? `command terminated with exit code ${code}`;
  return {
    ...head,
    status: 'Failure',
    reason: nonZeroExitCode,
    message: exit.message ?? `${sentence}${bySignal}`,
    details: {
      causes: [
        { reason: exitCodeCause, message: String(code) },
        ...(byItself ? [] : [{ reason: endReasonCause, message: exit.reason }]),
      ],
    },
  };
}

export const encodeStatus = (status: Status): Buffer => Buffer.from(JSON.stringify(status));

/** Reads what channel 3 carried, from any server. Never throws: an unreadable status is a failure with code 255. */
export function exitOfStatus(payload: Uint8Array): ExitOutcome {
  const status = readStatus(payload);
  if (status?.status === 'Success') return { code: 0 };
  if (status?.status !== 'Failure') {
    return {
      code: brokenStreamCode,
      reason: reasons.Invalid,
      message: 'the server ended the session without a status',
    };
  }
  const { message } = status;
  const code = status.reason === nonZeroExitCode ? exitCodeOf(status) : undefined;
  const reason = code === undefined ? status.reason : causeOf(status, endReasonCause);
  return {
    code: code ?? brokenStreamCode,
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message }),
  };
}

function exitCodeOf(status: LooseStatus): number | undefined {
  const text = causeOf(status, exitCodeCause) ?? '';
  return /^\d{1,3}$/.test(text) && Number(text) <= 255 ? Number(text) : undefined;
}

const causeOf = (status: LooseStatus, reason: string): string | undefined =>
  status.causes.find((cause) => cause.reason === reason)?.message;

/** A refusal as Kubernetes gives it. `reason` is ours: client-go falls back to `code` for reasons that it does not know. */
export function statusOfError(error: CrashcartError): Status {
  return { ...head, status: 'Failure', message: error.message, reason: error.reason, code: httpCodeOf(error.reason) };
}

/** The body of a refused request, whoever refused it: kube-apiserver, a proxy on the way, or our gateway. */
export function errorOfStatus(body: unknown, httpCode: number): CrashcartError {
  const status = typeof body === 'string' || body instanceof Uint8Array ? readStatus(body) : looseStatus(body);
  const reason = isReason(status?.reason) ? status.reason : reasonOfHttpCode(httpCode);
  return new CrashcartError(reason, status?.message || `the server answered HTTP ${httpCode} without saying why`);
}

const codes = {
  400: [],
  401: [reasons.Unauthorized],
  403: [reasons.Forbidden, reasons.ProfileRefused, reasons.PolicyMissing],
  404: [
    reasons.NotFound,
    reasons.PodNotFound,
    reasons.ContainerNotFound,
    reasons.ToolboxNotFound,
    reasons.ProfileNotFound,
  ],
  409: [
    reasons.PodFinished,
    reasons.PodReplaced,
    reasons.PodNotScheduled,
    reasons.ContainerNotRunning,
    reasons.ContainerExited,
    reasons.MountPointOccupied,
  ],
  410: [
    reasons.Completed,
    reasons.Killed,
    reasons.MaxDurationExceeded,
    reasons.IdleTimeout,
    reasons.DetachGraceExceeded,
    reasons.Deleted,
    reasons.SessionEnded,
  ],
  422: [
    reasons.Invalid,
    reasons.ContainerAmbiguous,
    reasons.ContainerUnsupported,
    reasons.CommandNotFound,
    reasons.CommandNotExecutable,
  ],
  429: [reasons.TooManySessions],
  500: [reasons.Internal],
  507: [reasons.RecordingFailed],
  503: [reasons.Unavailable, reasons.NoAgent, reasons.AgentLost, reasons.AgentRestarted, reasons.RuntimeUnavailable],
  504: [reasons.Timeout],
} as const satisfies Record<number, readonly Reason[]>;

export function httpCodeOf(reason: Reason): number {
  for (const [code, members] of Object.entries(codes)) {
    if ((members as readonly Reason[]).includes(reason)) return Number(code);
  }
  return 500;
}

function reasonOfHttpCode(code: number): Reason {
  const known: Readonly<Record<number, Reason>> = {
    400: reasons.Invalid,
    401: reasons.Unauthorized,
    403: reasons.Forbidden,
    404: reasons.NotFound,
    408: reasons.Timeout,
    422: reasons.Invalid,
    429: reasons.Unavailable,
    502: reasons.Unavailable,
    503: reasons.Unavailable,
    504: reasons.Timeout,
  };
  return known[code] ?? reasons.Internal;
}

interface LooseStatus {
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly causes: readonly StatusCause[];
}

function readStatus(payload: Uint8Array | string): LooseStatus | undefined {
  try {
    return looseStatus(JSON.parse(typeof payload === 'string' ? payload : Buffer.from(payload).toString('utf8')));
  } catch {
    return undefined;
  }
}

/** Takes what has the right type and leaves the rest: the body may come from any proxy on the way. */
function looseStatus(value: unknown): LooseStatus | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { status, reason, message, details } = value as Readonly<Record<string, unknown>>;
  const causes = typeof details === 'object' && details !== null && 'causes' in details ? details.causes : [];
  return {
    ...(typeof status === 'string' ? { status } : {}),
    ...(typeof reason === 'string' ? { reason } : {}),
    ...(typeof message === 'string' ? { message } : {}),
    causes: (Array.isArray(causes) ? causes : []).filter((cause): cause is StatusCause => isCause(cause)),
  };
}

const isCause = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  'reason' in value &&
  typeof value.reason === 'string' &&
  'message' in value &&
  typeof value.message === 'string';
