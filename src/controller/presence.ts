import type { Agents } from '../gateway/agents.ts';

/** How long each node's agent has not been connected to this replica. Times are monotonic milliseconds. */
export class Presence {
  readonly #startedAt: number;
  readonly #lostAt = new Map<string, number>();
  readonly #now: () => number;
  readonly stop: () => void;

  constructor(agents: Pick<Agents, 'onChange'>, now: () => number = () => performance.now()) {
    this.#now = now;
    this.#startedAt = now();
    this.stop = agents.onChange(({ type, node }) => {
      if (type === 'connected') this.#lostAt.delete(node);
      if (type === 'disconnected') this.#lostAt.set(node, now());
    });
  }

  /** Of a node that was never connected: since this controller started, because the agents need a moment to find it. */
  absentMs(node: string): number {
    return this.#now() - (this.#lostAt.get(node) ?? this.#startedAt);
  }
}
