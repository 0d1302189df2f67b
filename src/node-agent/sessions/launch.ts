/** What a session needs from the rest of the agent: a command in a container, and the container's own end. */
import type { DesiredSession } from '../../wire/agent-protocol.ts';
import type { SessionProcess } from '../session/request.ts';
import type { PutContext } from './sessions.ts';

/** The part of session/request.ts's `SessionProcess` that a session uses. */
export type LaunchedProcess = Pick<
  SessionProcess,
  | 'pid'
  | 'output'
  | 'input'
  | 'resize'
  | 'idleMs'
  | 'renew'
  | 'noted'
  | 'visited'
  | 'visit'
  | 'exited'
  | 'end'
  | 'cleanup'
>;

export interface Launched {
  readonly process: LaunchedProcess;
  /** RFC 3339. */
  readonly startedAt: string;
  /** Resolves when the container's first process has ended; never before. */
  readonly containerExited: Promise<void>;
  /** Frees what was held to watch the container. */
  release(): void;
}

/** Finds the target, verifies it and starts the command. Rejects with a CrashcartError, having left nothing behind. */
export type Launch = (desired: DesiredSession, context: PutContext) => Promise<Launched>;

/** What the metrics want to know. */
export interface SessionsObserver {
  launched(outcome: 'running' | 'failed', durationMs: number): void;
  transferred(direction: 'in' | 'out', bytes: number): void;
  teardownFailed(): void;
}
