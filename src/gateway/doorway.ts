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
 * Bounds what strangers can hold: everything in the cluster can reach our ports. When all places are taken, the address that holds most of them
 * loses its oldest: a flood from one pod only turns out itself. Where no address holds two, who comes is turned away and not who waits: thousands of
 * agents that lost a gateway come back at once, and one that is halfway through its handshake must get to its end, or none ever would. A TLS server
 * shows the bare connection and the one that speaks TLS as two objects; their far end is what they have in common.
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
    this.#turnOut(key);
    return false;
  }

  passed(socket: Ends): void {
    this.#leave(keyOf(socket));
  }

  #turnOut(newcomer: string): void {
    const held = Map.groupBy(this.#waiting, ([, { address }]) => address);
    const [most = []] = [...held.values()].sort((one, other) => other.length - one.length);
    const key = most.length > 1 ? most[0]?.[0] : newcomer;
    const socket = key === undefined ? undefined : this.#waiting.get(key)?.socket;
    if (key === undefined || socket === undefined) return;
    this.#leave(key);
    socket.destroy();
  }

  #leave(key: string): void {
    clearTimeout(this.#waiting.get(key)?.timer);
    this.#waiting.delete(key);
  }
}

const keyOf = (socket: Ends): string => `${socket.remoteAddress} ${socket.remotePort}`;
