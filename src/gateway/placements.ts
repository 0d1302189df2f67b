import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Agents } from './agents.ts';

/**
 * On which node a session is, as soon as that node's agent has it: the status that says so is written a moment later, with whatever else
 * there is to say. Only the leader may say it. It seals the session's uid and the node's name with a key that the replicas share and gives
 * the seal to the agent, which shows it to every replica beside the session. A stolen agent can seal nothing, least of all for itself.
 */
export class Placements {
  readonly #agents: Pick<Agents, 'get' | 'nodes' | 'onChange'>;
  #key: Buffer | undefined;

  constructor(agents: Pick<Agents, 'get' | 'nodes' | 'onChange'>) {
    this.#agents = agents;
  }

  /** `secret`: that of the serving certificate. Until all replicas have a new one, the status is waited for. */
  setSecret(secret: string): void {
    this.#key = createHmac('sha256', secret).update('crashcart: placement of sessions').digest();
  }

  /** What the agent of `node` gets with the session; undefined before there is a secret. */
  seal(uid: string, node: string): string | undefined {
    if (!this.#key) return undefined;
    return createHmac('sha256', this.#key).update(`${uid}\0${node}`).digest('base64url');
  }

  nodeOf(uid: string): string | undefined {
    return this.#agents.nodes().find((node) => this.#isAt(uid, node));
  }

  /** Resolves with the node once its agent shows the session; never, where that does not happen before `signal` is aborted. */
  waitFor(uid: string, signal: AbortSignal): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const now = this.nodeOf(uid);
    if (now !== undefined) {
      resolve(now);
      return promise;
    }
    const stop = this.#agents.onChange(({ node, event }) => {
      const concerns = event?.type === 'list' || (event?.type === 'changed' && event.session.uid === uid);
      if (concerns && this.#isAt(uid, node)) resolve(node);
    });
    signal.addEventListener('abort', stop, { once: true });
    return promise;
  }

  #isAt(uid: string, node: string): boolean {
    const shown = this.#agents.get(node)?.sessions()?.get(uid)?.placement;
    const sealed = shown === undefined ? undefined : this.seal(uid, node);
    if (shown === undefined || sealed === undefined) return false;
    const [theirs, ours] = [Buffer.from(shown), Buffer.from(sealed)];
    return theirs.length === ours.length && timingSafeEqual(theirs, ours);
  }
}
