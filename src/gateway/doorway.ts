import type { Socket } from 'node:net';

export interface DoorwayOptions {
  /** How many connections may be about to prove who they are. */
  readonly places: number;
  /** How long each may take, its TLS handshake included. */
  readonly withinMs: number;
}

type Ends = Pick<Socket, 'remoteAddress' | 'remotePort'>;

/**
 * Bounds what a stranger can hold: everything in the cluster can reach the tunnel port. A TLS server shows the bare
 * connection and the one that speaks TLS as two objects; their far end is what they have in common.
 */
export class Doorway {
  readonly #options: DoorwayOptions;
  readonly #waiting = new Map<string, NodeJS.Timeout>();

  constructor(options: DoorwayOptions) {
    this.#options = options;
  }

  /** False: there is no place, and the socket was destroyed. Else it is destroyed unless `passed` comes in time. */
  enter(socket: Socket): boolean {
    if (this.#waiting.size >= this.#options.places) {
      socket.destroy();
      return false;
    }
    const key = keyOf(socket);
    const timer = setTimeout(() => socket.destroy(), this.#options.withinMs);
    this.#waiting.set(key, timer);
    socket.once('close', () => this.#leave(key));
    return true;
  }

  passed(socket: Ends): void {
    this.#leave(keyOf(socket));
  }

  #leave(key: string): void {
    clearTimeout(this.#waiting.get(key));
    this.#waiting.delete(key);
  }
}

const keyOf = (socket: Ends): string => `${socket.remoteAddress} ${socket.remotePort}`;
