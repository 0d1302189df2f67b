export interface KeepAliveOptions {
  /** Default 10 s: under every idle limit of the load balancers in the wild (the shortest is 60 s). */
  readonly everyMs?: number;
  /** Default 25 s: looked at with every ping, so that whoever falls silent, at whatever moment, is seen within 30 s. */
  readonly deadAfterMs?: number;
}

export const defaultDeadAfterMs = 25_000;

export interface Peer {
  /** Sends one ping; `onPong` is called when it is answered. May throw when the connection is going down. */
  ping(onPong: () => void): void;
  /** Called once, when nothing was heard for `deadAfterMs`. */
  dead(): void;
  /** Asked at every ping, in place of `deadAfterMs`: a peer may have a good reason to be silent for longer. */
  patienceMs?(): number;
}

/**
 * Pings `peer` and declares it dead when no answer came for `deadAfterMs`: a peer whose packets are dropped on the way
 * never closes its connection. Returns `stop`.
 */
export function keepAlive(peer: Peer, options: KeepAliveOptions = {}): () => void {
  const { everyMs = 10_000, deadAfterMs = defaultDeadAfterMs } = options;
  let heardAt = performance.now();
  const timer = setInterval(() => {
    if (performance.now() - heardAt > (peer.patienceMs?.() ?? deadAfterMs)) {
      clearInterval(timer);
      peer.dead();
      return;
    }
    try {
      peer.ping(() => {
        heardAt = performance.now();
      });
    } catch {
      // The connection is closing and says so by its own event; silence until then counts as silence.
    }
  }, everyMs);
  return () => clearInterval(timer);
}
