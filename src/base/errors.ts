/**
 * What may go wrong, as a closed set that people and programs can rely on. The same words stand in the conditions of a
 * DebugSession, in Status answers of the gateway, in messages of the agent, in metrics and in the plugin's errors.
 */
export const reasons = {
  // The target
  PodNotFound: 'PodNotFound',
  PodFinished: 'PodFinished',
  PodReplaced: 'PodReplaced',
  PodNotScheduled: 'PodNotScheduled',
  ContainerNotFound: 'ContainerNotFound',
  ContainerAmbiguous: 'ContainerAmbiguous',
  ContainerNotRunning: 'ContainerNotRunning',
  ContainerExited: 'ContainerExited',
  ContainerUnsupported: 'ContainerUnsupported',
  MountPointOccupied: 'MountPointOccupied',
  // The way to it
  NoAgent: 'NoAgent',
  AgentLost: 'AgentLost',
  AgentRestarted: 'AgentRestarted',
  RuntimeUnavailable: 'RuntimeUnavailable',
  TooManySessions: 'TooManySessions',
  // What was asked for
  ToolboxNotFound: 'ToolboxNotFound',
  ProfileNotFound: 'ProfileNotFound',
  ProfileRefused: 'ProfileRefused',
  CommandNotFound: 'CommandNotFound',
  CommandNotExecutable: 'CommandNotExecutable',
  Invalid: 'Invalid',
  Forbidden: 'Forbidden',
  PolicyMissing: 'PolicyMissing',
  Unauthorized: 'Unauthorized',
  NotFound: 'NotFound',
  // How a session ends
  Completed: 'Completed',
  Killed: 'Killed',
  MaxDurationExceeded: 'MaxDurationExceeded',
  IdleTimeout: 'IdleTimeout',
  DetachGraceExceeded: 'DetachGraceExceeded',
  Deleted: 'Deleted',
  SessionEnded: 'SessionEnded',
  RecordingFailed: 'RecordingFailed',
  // Ours
  Timeout: 'Timeout',
  Unavailable: 'Unavailable',
  Internal: 'Internal',
} as const;

export type Reason = (typeof reasons)[keyof typeof reasons];

export const isReason = (value: unknown): value is Reason => typeof value === 'string' && Object.hasOwn(reasons, value);

/**
 * An error for a person: `message` is one sentence that names the cause and the next step; `reason` is for programs.
 * What went wrong underneath is kept in `cause` and printed once, at the edge of a process, by `describe`.
 */
export class CrashcartError extends Error {
  override readonly name = 'CrashcartError';
  readonly reason: Reason;

  constructor(reason: Reason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }

  /** Anything that was caught, as a CrashcartError: itself, or an Internal error that keeps it as its cause. */
  static from(caught: unknown, reason: Reason = reasons.Internal): CrashcartError {
    if (caught instanceof CrashcartError) return caught;
    const message = caught instanceof Error ? caught.message : String(caught);
    return new CrashcartError(reason, message, { cause: caught });
  }
}

/** The whole chain of causes in one line, `a: b: c`, a message that repeats its cause's text only once. */
export function describe(caught: unknown): string {
  const parts: string[] = [];
  for (
    let at: unknown = caught;
    at !== undefined && parts.length < 8;
    at = at instanceof Error ? at.cause : undefined
  ) {
    const text = at instanceof Error ? at.message || at.name : String(at);
    if (!parts.some((part) => part.includes(text))) parts.push(text);
  }
  return parts.join(': ');
}
