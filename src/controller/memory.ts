import type { DebugSessionStatus, Phase, RecordingStatus } from '../api/debug-session.ts';
import type { AgentLink } from '../gateway/agent-link.ts';
import type { ObservedSession } from '../wire/agent-protocol.ts';
import type { Failure } from './target.ts';

export interface Remembered {
  /** Handed to the agent at `node`. `answer` is what it said on the tunnel `link`: on a later one its list is newer. */
  dispatched?: { readonly node: string; readonly link: AgentLink; answer?: ObservedSession };
  /** The agent's final no. */
  refusal?: Failure;
  /** The status as this controller wrote it last, which the watch may not have brought back yet. */
  status?: DebugSessionStatus;
  /** What it was handed over with, until a status says so. */
  handedOver?: DebugSessionStatus;
  /** The Event of its start stands on its pod. */
  podTold?: boolean;
  /** What is known of its recording from the node's list and the store: newer than what the session's own end said. */
  recorded?: RecordingStatus;
  /** A status that is only a step on the way (settle.ts), since when it waits, and the first such since one was written; monotonic milliseconds. */
  passing?: { readonly phase: Phase | undefined; readonly sinceMs: number; readonly firstMs: number };
  /** It was there when this leader began, at this time; monotonic milliseconds. */
  inheritedAtMs?: number;
  /** The longest duration that an Event has told of; milliseconds. */
  extendedToMs?: number;
  /** Its start was counted. */
  started?: boolean;
  /** Its clients as its agent told them, and since when; monotonic milliseconds. */
  company?: { readonly text: string; readonly sinceMs: number };
  /** When it was first looked at, for the metrics; monotonic milliseconds. */
  readonly seenAtMs: number;
}

/** How long its clients are those that they are now. */
export function companyForMs(remembered: Remembered, observed: ObservedSession | undefined, nowMs: number): number {
  const text = JSON.stringify(observed?.clients ?? []);
  if (remembered.company?.text !== text) remembered.company = { text, sinceMs: nowMs };
  return nowMs - remembered.company.sinceMs;
}

/**
 * What the leader knows of its own recent acts, by session uid. A new leader starts without it and only loses time:
 * everything that matters is in the object and at the agent.
 */
export class Memory {
  readonly #sessions = new Map<string, Remembered>();

  of(uid: string): Remembered {
    const known = this.#sessions.get(uid);
    if (known) return known;
    const fresh: Remembered = { seenAtMs: performance.now() };
    this.#sessions.set(uid, fresh);
    return fresh;
  }

  peek(uid: string): Remembered | undefined {
    return this.#sessions.get(uid);
  }

  forget(uid: string): void {
    this.#sessions.delete(uid);
  }
}
