import type { Socket } from 'node:net';

export interface DoorwayOptions {
  /** How many connections may be about to prove who they are. */
  readonly places: number;
  /** How long each may take, its TLS handshake included. */
  readonly withinMs: number;
}

type Ends = Pick<Socket, 'remoteAddress' | 'remotePort'>;

interface Waiting {
  readonly socket: Socket;
  readonly address: string | undefined;
  readonly timer: NodeJS.Timeout;
}

/**
 * Bounds what strangers can hold: everything in the cluster can reach our ports. Whoever comes when all places are taken gets that of the one
 * that waits longest, of the address that holds most: a flood from one pod only turns out itself. A TLS server shows the bare connection and
 * the one that speaks TLS as two objects; their far end is what they have in common.
 */
export class Doorway {
  readonly #options: DoorwayOptions;
  /** In the order in which they came. */
  readonly #waiting = new Map<string, Waiting>();

  constructor(options: DoorwayOptions) {
    this.#options = options;
  }

  /** False: a connection was turned out for it. It is itself destroyed unless `passed` comes in time. */
  enter(socket: Socket): boolean {
    const key = keyOf(socket);
    const timer = setTimeout(() => socket.destroy(), this.#options.withinMs);
    this.#waiting.set(key, { socket, address: socket.remoteAddress, timer });
    socket.once('close', () => this.#leave(key));
    if (this.#waiting.size <= this.#options.places) return true;
    this.#turnOut();
    return false;
  }

  passed(socket: Ends): void {
    this.#leave(keyOf(socket));
  }

  #turnOut(): void {
    const held = Map.groupBy(this.#waiting, ([, { address }]) => address);
    const [most = []] = [...held.values()].sort((one, other) => other.length - one.length);
    for (const [key, { socket }] of most.slice(0, 1)) {
      this.#leave(key);
      socket.destroy();
    }
  }

  #leave(key: string): void {
    clearTimeout(this.#waiting.get(key)?.timer);
    this.#waiting.delete(key);
  }
}

const keyOf = (socket: Ends): string => `${socket.remoteAddress} ${socket.remotePort}`;
