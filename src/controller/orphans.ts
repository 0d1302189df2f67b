import { describe, reasons } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Agents } from '../gateway/agents.ts';
import type { SessionCache } from '../kube/session-cache.ts';
import type { ObservedSession } from '../wire/agent-protocol.ts';
import type { Cluster } from './cluster.ts';

export interface OrphansOptions {
  readonly agents: Pick<Agents, 'get' | 'nodes'>;
  readonly sessions: Pick<SessionCache, 'byUid'>;
  readonly cluster: Pick<Cluster, 'session'>;
  readonly log: Logger;
}

/** Sessions that agents have and nobody wants: their objects went while the agent was away, or without our finalizer. */
export class Orphans {
  readonly #options: OrphansOptions;
  /** Nodes. */
  readonly #inHand = new Set<string>();

  constructor(options: OrphansOptions) {
    this.#options = options;
  }

  /** Looks at every session of a node, or of all nodes. Errors are logged; the next sweep tries again. */
  async sweep(nodes: readonly string[] = this.#options.agents.nodes()): Promise<void> {
    await Promise.all(nodes.map((node) => this.#sweepNode(node)));
  }

  /** One after another, and once at a time: what an agent says it has must not become a flood of requests to the API server. */
  async #sweepNode(node: string): Promise<void> {
    if (this.#inHand.has(node)) return;
    this.#inHand.add(node);
    try {
      const found = [...(this.#options.agents.get(node)?.sessions()?.values() ?? [])];
      for (const session of found) await this.#look(node, session);
    } finally {
      this.#inHand.delete(node);
    }
  }

  async #look(node: string, { uid, namespace, name }: ObservedSession): Promise<void> {
    const { agents, sessions, cluster, log } = this.#options;
    if (sessions.byUid(uid)) return;
    try {
      // Our copy may be older than the session: only the API server itself can say that it does not exist.
      if (await cluster.session(namespace, name, uid)) return;
      const answer = await agents.get(node)?.remove(uid, reasons.Deleted);
      log.info('removed a session without an object from its agent', {
        session: `${namespace}/${name}`,
        uid,
        node,
        cleanedUp: answer?.cleanedUp,
      });
    } catch (caught) {
      log.warn('a session without an object is still on its agent', { uid, node, error: describe(caught) });
    }
  }
}
