import type { DebugSessionStatus } from '../api/debug-session.ts';
import type { ObservedSession } from '../wire/agent-protocol.ts';
import type { Failure } from './target.ts';

export interface Remembered {
  /** Handed to the agent at `node` in its life `instance`. `answer` is what it said, if it said something. */
  dispatched?: { readonly node: string; readonly instance: string; answer?: ObservedSession };
  /** The agent's final no. */
  refusal?: Failure;
  /** The status as this controller wrote it last, which the watch may not have brought back yet. */
  status?: DebugSessionStatus;
  /** When it was first seen, for the metrics; monotonic milliseconds. */
  readonly seenAtMs: number;
  started?: boolean;
}

/**
 * What the leader knows of its own recent acts, by session uid. A new leader starts without it and only loses time:
 * everything that matters is in the object and at the agent.
 */
export class Memory {
  readonly #sessions = new Map<string, Remembered>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  of(uid: string): Remembered {
    const known = this.#sessions.get(uid);
    if (known) return known;
    const fresh: Remembered = { seenAtMs: this.#now() };
    this.#sessions.set(uid, fresh);
    return fresh;
  }

  forget(uid: string): void {
    this.#sessions.delete(uid);
  }
}
