import type { ObservedClient } from '../../wire/agent-protocol.ts';
import type { Client } from './client.ts';
import type { AttachRequest } from './sessions.ts';

/** Of a name in a sentence, and of names in a list: a notice has its bound. */
const longestName = 64;
const mostNames = 4;
const clockSlackMs = 60_000;

export interface AttachedOptions {
  /** How one attaches again, for who has lost the keyboard. */
  readonly comeBack: string;
  /** Another client is the writer now: the window is its own. */
  readonly onWriter: (writer: Client) => void;
}

/**
 * Who is attached to a session. One types: who came last of those that want to. The others see what it does, and have the keyboard again when it
 * leaves. When somebody came is known to the client as its turn, so that nobody takes over by a connection that was lost and came back.
 */
export class Attached implements Iterable<Client> {
  readonly #options: AttachedOptions;
  readonly #clients = new Set<Client>();
  /** As they were told. */
  #writer: Client | undefined;
  #lastTurn = 0;

  constructor(options: AttachedOptions) {
    this.#options = options;
  }

  [Symbol.iterator](): IterableIterator<Client> {
    return this.#clients.values();
  }

  get size(): number {
    return this.#clients.size;
  }

  /** Those that do more than watch. */
  get participants(): number {
    return [...this.#clients].filter(({ holds }) => holds).length;
  }

  get writer(): Client | undefined {
    return this.#writer;
  }

  /** Undefined for a client that does not type. */
  turnOf({ stdin, observe, resume }: AttachRequest): number | undefined {
    if (!stdin || observe) return undefined;
    const nowMs = Date.now();
    const kept = resume?.position === undefined ? undefined : resume.turn;
    // Of the future it cannot be; a clock may have been set back a little while no agent ran.
    const latest = Math.max(nowMs, this.#lastTurn) + clockSlackMs;
    const turn = kept === undefined ? Math.max(nowMs, this.#lastTurn + 1) : Math.min(kept, latest);
    this.#lastTurn = Math.max(this.#lastTurn, turn);
    return turn;
  }

  add(client: Client): void {
    const others = [...this.#clients];
    this.#clients.add(client);
    const last = this.#writer;
    this.#appoint();
    const tookOver = this.#writer === client && last !== undefined && !isSame(last, client);
    if (tookOver) {
      last.notice(
        `${nameOf(client)} took over from you: this terminal only watches now; to type again: ${this.#options.comeBack}`,
      );
    }
    if (client.returning || others.length === 0) return;
    const also = others
      .filter((each) => !tookOver || each !== last)
      .map((each) => (each === this.#writer ? `${nameOf(each)} (typing)` : nameOf(each)));
    const more = also.length > mostNames ? [`${also.length - mostNames} more`] : [];
    const company = also.length === 0 ? [] : [`also attached: ${[...also.slice(0, mostNames), ...more].join(', ')}`];
    client.notice([...(tookOver ? [`you took over from ${nameOf(last)}`] : []), ...company].join('; '));
  }

  /** `quietly`: the same client is there again, over another connection, and is added next; or the command has ended, and nobody types any more. */
  remove(client: Client, quietly: boolean): void {
    this.#clients.delete(client);
    if (quietly || this.#writer !== client) return;
    this.#appoint();
    this.#writer?.notice(`${nameOf(client)} has left: you type again`);
  }

  /** The writer first, the others as they came. */
  observe(): readonly ObservedClient[] {
    const ordered = [...this.#clients].sort((a, b) => Number(b === this.#writer) - Number(a === this.#writer));
    return ordered.map((client) => ({
      user: client.user,
      since: client.since,
      mode: client === this.#writer ? 'Writer' : 'Observer',
    }));
  }

  #appoint(): void {
    const typing = [...this.#clients].filter(({ turn }) => turn !== undefined);
    const next = typing.toSorted((a, b) => (b.turn ?? 0) - (a.turn ?? 0))[0];
    if (next === this.#writer) return;
    this.#writer = next;
    if (next) this.#options.onWriter(next);
  }
}

const nameOf = ({ user }: Client): string => user.slice(0, longestName);

const isSame = (one: Client, other: Client): boolean => one.id !== undefined && one.id === other.id;
