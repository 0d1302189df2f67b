import type { SessionEvent } from '../wire/agent-protocol.ts';
import type { AgentLink } from './agent-link.ts';

export interface AgentsChange {
  readonly type: 'connected' | 'disconnected' | 'event';
  readonly node: string;
  /** With `event`: already applied to the link's `sessions()`. */
  readonly event?: SessionEvent;
}

/** The agents whose tunnels end in this replica. */
export interface Agents {
  get(node: string): AgentLink | undefined;
  nodes(): readonly string[];
  /** The answer stops it. 'disconnected' comes only when no newer tunnel of the node has taken over. */
  onChange(listener: (change: AgentsChange) => void): () => void;
}

interface Entry {
  readonly link: AgentLink;
  readonly close: () => void;
}

/** One link a node: the newest, because the older one may be half dead and would take 30 s to show it. */
export class AgentRegistry implements Agents {
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<(change: AgentsChange) => void>();

  get(node: string): AgentLink | undefined {
    return this.#entries.get(node)?.link;
  }

  nodes(): readonly string[] {
    return [...this.#entries.keys()];
  }

  onChange(listener: (change: AgentsChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** `close` is called when a newer link of the same node takes its place. */
  add(link: AgentLink, close: () => void): void {
    const older = this.#entries.get(link.node);
    this.#entries.set(link.node, { link, close });
    older?.close();
    this.#tell({ type: 'connected', node: link.node });
  }

  remove(link: AgentLink): void {
    if (this.#entries.get(link.node)?.link !== link) return;
    this.#entries.delete(link.node);
    this.#tell({ type: 'disconnected', node: link.node });
  }

  event(link: AgentLink, event: SessionEvent): void {
    if (this.get(link.node) === link) this.#tell({ type: 'event', node: link.node, event });
  }

  #tell(change: AgentsChange): void {
    for (const listener of [...this.#listeners]) listener(change);
  }
}
