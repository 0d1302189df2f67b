import { type CrashcartError, type Reason, reasons } from '../../base/errors.ts';
import type { ObservedExit, ObservedSession } from '../../wire/agent-protocol.ts';
import type { ProcessExit } from '../session/request.ts';
import type { Launched } from './launch.ts';

/**
 * - preparing: the target is looked up and the command started; `stop` when it was told to end meanwhile
 * - running: the command runs; `stop` is why it was told to end, once it was
 * - ended: the command has ended; its output may still be on the way to clients, its traces are being removed
 * - failed: the command never ran; `launched` when it came up after it had been given up
 */
export type State =
  | { readonly phase: 'preparing'; stop?: Reason }
  | { readonly phase: 'running'; readonly launched: Launched; readonly startedAt: string; stop?: Reason }
  | {
      readonly phase: 'ended';
      readonly launched: Launched;
      readonly startedAt: string;
      readonly exit: ObservedExit;
      readonly trace: Trace;
    }
  | { readonly phase: 'failed'; readonly failure: CrashcartError; readonly launched?: Launched; readonly trace: Trace };

/** What is left of a session on the node. */
export interface Trace {
  readonly cleanedUp: boolean;
  readonly leftovers?: string;
}

export function observation(state: State): Omit<ObservedSession, 'uid' | 'namespace' | 'name' | 'attached'> {
  switch (state.phase) {
    case 'preparing':
      return { phase: 'Preparing', cleanedUp: false };
    case 'running':
      return { phase: 'Running', startedAt: state.startedAt, cleanedUp: false };
    case 'ended':
      return { phase: 'Finished', startedAt: state.startedAt, exit: state.exit, ...state.trace };
    case 'failed':
      return {
        phase: 'Failed',
        failure: { reason: state.failure.reason, message: state.failure.message },
        ...state.trace,
      };
  }
}

/** A command that a limit ended has not succeeded, even if it managed to exit with 0 at that moment. */
export function exitStatus({ code, signal }: ProcessExit, reason: Reason): ProcessExit {
  const killed = reason !== reasons.Completed && code === 0;
  return killed ? { code: 137, signal: 'SIGKILL' } : { code, ...(signal ? { signal } : {}) };
}
