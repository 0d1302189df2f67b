import type { Socket } from 'node:net';

export interface DoorwayOptions {
  /** How many connections may be about to prove who they are. */
  readonly places: number;
  /** How long each may take, its TLS handshake included. */
  readonly withinMs: number;
  /** How many more may wait for a place, nothing done for them yet, for half of that time. Default 0: they are turned away. */
  readonly line?: number;
}

type Ends = Pick<Socket, 'remoteAddress' | 'remotePort'>;

interface Visitor {
  readonly socket: Socket;
  readonly address: string;
  readonly timer: NodeJS.Timeout;
  /** Only of one in the line: what to do when it is its turn. */
  readonly begin?: () => void;
}

/**
 * Bounds what strangers can hold: everything in the cluster can reach our ports. When all places are taken, the address that holds most of them
 * loses its oldest: a flood from one pod only turns out itself. Where no address holds two, who comes waits in line, and is turned away only when that
 * is full or its turn does not come: thousands of agents that lost a gateway come back at once, each of them wants to get to the end of its handshake, and
 * trying again costs both sides more than waiting. A TLS server shows the bare connection and the one that speaks TLS as two objects; their far end is
 * what they have in common.
 */
export class Doorway {
  readonly #options: Required<DoorwayOptions>;
  /** In the order in which they came. */
  readonly #inside = new Map<string, Visitor>();
  readonly #line = new Map<string, Visitor>();
  /** How many places each address holds, and how many addresses hold more than one. */
  readonly #held = new Map<string, number>();
  #crowding = 0;

  constructor(options: DoorwayOptions) {
    this.#options = { line: 0, ...options };
  }

  /** False: a connection was turned out for it. `begin` is called when it has a place; from then on it is destroyed unless `passed` comes in time. */
  enter(socket: Socket, begin: () => void = () => {}): boolean {
    const { places, line } = this.#options;
    const key = keyOf(socket);
    const visitor = { socket, address: socket.remoteAddress ?? '', begin };
    const full = this.#inside.size >= places && this.#crowding === 0 && !this.#held.has(visitor.address);
    const turnedAway = full && this.#line.size >= line;
    if (turnedAway) {
      socket.destroy();
      return false;
    }
    socket.once('close', () => this.#leave(key));
    if (full) {
      this.#line.set(key, { ...visitor, timer: setTimeout(() => socket.destroy(), this.#options.withinMs / 2) });
      return true;
    }
    this.#admit(key, visitor);
    if (this.#inside.size <= places) return true;
    this.#turnOut();
    return false;
  }

  passed(socket: Ends): void {
    this.#leave(keyOf(socket));
  }

  #admit(key: string, { socket, address, begin }: Omit<Visitor, 'timer'>): void {
    this.#inside.set(key, { socket, address, timer: setTimeout(() => socket.destroy(), this.#options.withinMs) });
    const held = (this.#held.get(address) ?? 0) + 1;
    this.#held.set(address, held);
    if (held === 2) this.#crowding += 1;
    begin?.();
  }

  #turnOut(): void {
    const most = Math.max(...this.#held.values());
    for (const [key, { socket, address }] of this.#inside) {
      if (this.#held.get(address) !== most) continue;
      this.#leave(key);
      socket.destroy();
      return;
    }
  }

  #leave(key: string): void {
    clearTimeout(this.#line.get(key)?.timer);
    this.#line.delete(key);
    const visitor = this.#inside.get(key);
    if (!visitor) return;
    clearTimeout(visitor.timer);
    this.#inside.delete(key);
    const held = (this.#held.get(visitor.address) ?? 1) - 1;
    if (held === 0) this.#held.delete(visitor.address);
    else this.#held.set(visitor.address, held);
    if (held === 1) this.#crowding -= 1;
    this.#next();
  }

  #next(): void {
    for (const [key, visitor] of this.#line) {
      if (this.#inside.size >= this.#options.places) return;
      clearTimeout(visitor.timer);
      this.#line.delete(key);
      this.#admit(key, visitor);
    }
  }
}

const keyOf = (socket: Ends): string => `${socket.remoteAddress} ${socket.remotePort}`;
