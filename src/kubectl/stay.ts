import { performance } from 'node:perf_hooks';
import type { WebSocket } from 'ws';
import { Backoff } from '../base/backoff.ts';
import { CrashcartError, type Reason, reasons } from '../base/errors.ts';
import { RawTerminal } from '../terminal/raw-terminal.ts';
import type { ApiClient } from './api-client.ts';
import { ApiRefusal } from './api-refusal.ts';
import { type Attachment, openAttach } from './attach-socket.ts';
import { Carried } from './carried.ts';
import { Escape, nameOfKey } from './escape.ts';
import { guarded, type Host, note } from './host.ts';
import type { SignalWatch } from './signals.ts';
import { SessionStream, type StreamEnd } from './stream.ts';

export interface Staying extends Attachment {
  /** Undefined: nothing that is typed is for us. */
  readonly escape: number | undefined;
}

interface Tools {
  readonly api: ApiClient;
  readonly host: Host;
  readonly signals: SignalWatch;
}

/** Time awake for which a lost connection is tried again; the clock stands still while a laptop sleeps. */
const comeBackMs = 15 * 60_000;
/** A replica or an API server that was replaced is back within this: each try may be the one, so none waits for long. After that it is a longer outage. */
const soonMs = 30_000;
/** An API server that is starting refuses for reasons that are not true a moment later. */
const doubtMs = 30_000;
/** What may be typed while there is no connection. */
const typedAheadBytes = 1024;
const interrupt = 0x03;

/** These end the matter: the session is over, or was never ours. */
const final: ReadonlySet<Reason> = new Set<Reason>([
  reasons.SessionEnded,
  reasons.Deleted,
  reasons.Completed,
  reasons.AgentRestarted,
  reasons.TooManySessions,
]);
const doubtful: ReadonlySet<Reason> = new Set<Reason>([reasons.Forbidden, reasons.Unauthorized, reasons.NotFound]);
/** A session's end is none of these: the way to it broke. */
const broken: ReadonlySet<string> = new Set([reasons.AgentLost, reasons.Unavailable, reasons.NoAgent, reasons.Timeout]);

/** Stays with a session over as many connections as it takes: to its end, until the person leaves, or until there is no way back. */
export class Stay {
  readonly #tools: Tools;
  readonly #wanted: Staying;
  readonly carried = new Carried();
  readonly #escape: Escape;
  #stream: SessionStream | undefined;
  #terminal: RawTerminal | undefined;
  readonly #leaving = new AbortController();

  constructor(tools: Tools, wanted: Staying) {
    this.#tools = tools;
    this.#wanted = wanted;
    this.#escape = new Escape(wanted.tty ? wanted.escape : undefined);
  }

  async run(socket: WebSocket): Promise<StreamEnd> {
    for (const stream of [this.#tools.host.stdout, this.#tools.host.stderr]) guarded(stream);
    if (!this.#wanted.tty) return await this.#over(socket);
    using terminal = new RawTerminal(this.#tools.host, (size) => this.#stream?.resize(size));
    this.#terminal = terminal;
    const end = await this.#over(socket, () => terminal.tellSize());
    // The shell left the cursor wherever it was; what we have to say starts a line of its own.
    if (end.type !== 'exit') this.#tools.host.stderr.write('\r\n');
    return end;
  }

  async #over(first: WebSocket, onConnected: () => void = () => undefined): Promise<StreamEnd> {
    const { host, signals } = this.#tools;
    for (let socket = first; ; ) {
      this.#stream = new SessionStream(socket, host);
      onConnected();
      const end = await this.#stream.run({
        stdin: this.#wanted.stdin,
        signal: signals.signal,
        carried: this.carried,
        filter: (typed) => this.#filter(typed),
        saw: (output) => this.#terminal?.saw(output),
        onNotice: (text) => this.#say(text),
        onLost: (bytes) => this.#say(`${bytes} bytes of output are gone: the session keeps its last megabyte`),
      });
      if (!this.#mayReturn(end)) return end;
      const next = await this.#comeBack();
      if (next === undefined) return this.#leaving.signal.aborted ? { type: 'detached' } : end;
      socket = next;
    }
  }

  #mayReturn(end: StreamEnd): boolean {
    if (!this.carried.resumable || this.#tools.signals.received) return false;
    if (end.type === 'exit') return end.outcome.code === 255 && broken.has(end.outcome.reason ?? '');
    return end.type === 'cut' && !end.output;
  }

  /** Undefined: given up, or the person has left. */
  async #comeBack(): Promise<WebSocket | undefined> {
    const { api, signals } = this.#tools;
    const leave = (): void => this.#leaving.abort();
    using away = new TypedAhead(this.#tools.host, this.#wanted.tty, (typed) => this.#filter(typed), leave);
    this.#say(`connection lost, coming back${this.#wanted.tty ? ' (Ctrl-C to leave; the session goes on)' : ''}`);
    const signal = AbortSignal.any([signals.signal, this.#leaving.signal]);
    const soon = new Backoff({ initialMs: 100, maxMs: 1_000 });
    const later = new Backoff({ initialMs: 1_000, maxMs: 5_000 });
    const startedAt = performance.now();
    for (;;) {
      const awayMs = performance.now() - startedAt;
      try {
        const { position, id, turn } = this.carried;
        const socket = await openAttach(api, this.#wanted, signal, {
          id,
          ...(position === undefined ? {} : { position }),
          ...(turn === undefined ? {} : { turn }),
        });
        for (const chunk of away.take()) this.carried.sent(chunk);
        this.#say('connected again');
        return socket;
      } catch (caught) {
        if (signal.aborted || awayMs > comeBackMs || isFinal(caught, awayMs)) return undefined;
        await (awayMs < soonMs ? soon : later).wait(signal);
      }
    }
  }

  /** What is typed, without what is for us. */
  #filter(typed: Buffer): Buffer {
    const { pass, action, rest } = this.#escape.take(typed);
    if (action === undefined) return pass;
    if (action === 'detach') {
      this.#leaving.abort();
      this.#stream?.detach();
      return pass;
    }
    const key = nameOfKey(this.#wanted.escape ?? 0);
    this.#say(`${key} . leaves, the session goes on   ${key} ? this help   ${key} ${key} sends ${key}`);
    return Buffer.concat([pass, this.#filter(rest ?? Buffer.alloc(0))]);
  }

  /** A line of its own, wherever the cursor is; a full-screen program draws itself anew after it. */
  #say(text: string): void {
    const { host } = this.#tools;
    // Who watches a terminal has its cursor wherever that is, too.
    if (this.#terminal || (this.#wanted.observe && host.stderr.isTTY)) host.stderr.write('\r\n');
    note(host, text);
    if (!this.#terminal) return;
    host.stderr.write('\r');
    this.#terminal.redraw();
  }
}

function isFinal(caught: unknown, awayMs: number): boolean {
  if (!(caught instanceof CrashcartError) && !(caught instanceof ApiRefusal)) return false;
  const { reason } = CrashcartError.from(caught);
  return final.has(reason) || (doubtful.has(reason) && awayMs > doubtMs);
}

/** Takes what is typed while there is no connection: a line or two, in order; Ctrl-C leaves. Data that is no typing waits where it is. */
class TypedAhead implements Disposable {
  readonly #host: Host;
  readonly #onData: ((typed: Buffer) => void) | undefined;
  #kept: Buffer[] = [];
  #bytes = 0;

  constructor(host: Host, tty: boolean, filter: (typed: Buffer) => Buffer, leave: () => void) {
    this.#host = host;
    if (!tty) return;
    this.#onData = (typed) => {
      if (typed.includes(interrupt)) return leave();
      const chunk = filter(typed);
      if (this.#bytes + chunk.length > typedAheadBytes) return void host.stderr.write('\x07');
      if (chunk.length > 0) this.#kept.push(Buffer.from(chunk));
      this.#bytes += chunk.length;
    };
    host.stdin.on('data', this.#onData);
    host.stdin.resume();
  }

  take(): readonly Buffer[] {
    return this.#kept.splice(0);
  }

  [Symbol.dispose](): void {
    if (this.#onData) this.#host.stdin.off('data', this.#onData);
    this.#host.stdin.pause();
  }
}
