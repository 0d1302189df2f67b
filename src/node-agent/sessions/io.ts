import { CrashcartError, reasons } from '../../base/errors.ts';
import { limits, type ObservedClient } from '../../wire/agent-protocol.ts';
import type { Status } from '../../wire/status.ts';
import type { SessionRecording } from '../recording/session-recording.ts';
import type { InputSender, SessionOutput } from '../session/request.ts';
import { Attached } from './attached.ts';
import { Client, type ClientHost } from './client.ts';
import type { LaunchedProcess } from './launch.ts';
import { Output } from './output.ts';
import type { Attachment, AttachRequest } from './sessions.ts';

export const { clientsPerSession } = limits;
/** How long a first client may take to come before output is no longer held for it. */
export const holdMs = 15_000;
/** How long one client may keep the others waiting. Alone, it waits for itself: Ctrl-S is not an error; idleTimeout bounds it. */
export const blockedClientMs = 30_000;
/** How long a client that was cut off may take to come back before output goes on without it. */
export const cutHoldMs = 60_000;
/** How long the rest of the output may take to come after the command's end, before its streams are given up. */
export const drainMs = 5_000;

export interface SessionIoOptions {
  readonly process: LaunchedProcess;
  readonly tty: boolean;
  readonly recording?: SessionRecording | undefined;
  readonly onBytes: (direction: 'in' | 'out', count: number) => void;
  /** Taken over from an earlier agent, whose clients will come back. */
  readonly taken?: boolean;
  /** The command line that attaches again. */
  readonly comeBack: string;
  /** The number of clients changed. */
  readonly onClients: () => void;
}

/** A running command's output and input on the one side, its clients on the other. */
export class SessionIo implements ClientHost {
  readonly #options: SessionIoOptions;
  readonly #output: Output;
  readonly #clients: Attached;
  readonly #watches = new Map<Client, NodeJS.Timeout>();
  readonly #stop: () => void;
  #hold: NodeJS.Timeout;
  #status: Status | undefined;
  /** Who is just coming over another connection. */
  #returning: bigint | undefined;
  #closing = false;

  constructor(options: SessionIoOptions) {
    this.#options = options;
    const { recording } = options;
    const { output } = options.process;
    this.#clients = new Attached({ comeBack: options.comeBack, onWriter: (writer) => this.#handOver(writer) });
    this.#output = new Output({
      output,
      ...(recording ? { tap: recording } : {}),
      onBytes: (count) => this.#moved(count),
      ...(options.taken ? { counted: output.head } : {}),
    });
    this.#hold = setTimeout(() => this.#output.release(), options.taken ? cutHoldMs : holdMs);
    recording?.onDrain(() => this.#output.resume());
    this.#stop = output.onChange(() => this.#drain());
  }

  get recorded(): boolean {
    return this.#options.recording?.observe().state === 'Recording';
  }

  get clients(): readonly ObservedClient[] {
    return this.#clients.observe();
  }

  /** Of those that do more than watch. */
  get participants(): number {
    return this.#clients.participants;
  }

  get log(): SessionOutput {
    return this.#output.log;
  }

  get status(): Status | undefined {
    return this.#status;
  }

  attach(request: AttachRequest): Attachment {
    const { resume } = request;
    // The same client over another connection: the old one is dead, whether we know it yet or not.
    this.#returning = resume?.id;
    for (const client of this.#clients) if (resume && client.id === resume.id) client.drop(replaced());
    this.#returning = undefined;
    if (this.#clients.size >= clientsPerSession) {
      throw new CrashcartError(
        reasons.TooManySessions,
        `The session already has ${clientsPerSession} clients: detach one of them and attach again.`,
      );
    }
    this.#options.recording?.attached(request);
    const { input } = this.#options.process;
    const position = Math.min(resume?.position ?? this.#output.start, this.log.head);
    const known = resume ? input?.receivedFrom(resume.id) : undefined;
    const client = new Client(request, this, {
      position,
      received: known ?? (resume?.position === undefined ? 0 : null),
      turn: this.#clients.turnOf(request),
    });
    this.#clients.add(client);
    if (client.holds) clearTimeout(this.#hold);
    this.#output.add(client);
    this.#watch(client);
    this.#options.onClients();
    return client;
  }

  /** The command has ended: gives all clients, these and later ones, the rest of the output and then the status. */
  async finish(status: Status): Promise<void> {
    const giveUp = setTimeout(() => this.#output.abandon(), drainMs);
    await this.#output.drained;
    clearTimeout(giveUp);
    clearTimeout(this.#hold);
    this.#status = status;
    for (const client of this.#clients) client.pump();
    this.#drain();
  }

  /** Nobody will come for the output any more; those who are here still get the rest of it. */
  [Symbol.dispose](): void {
    this.#closing = true;
    if (this.#clients.size > 0) return;
    clearTimeout(this.#hold);
    this.#stop();
    this.#output[Symbol.dispose]();
    this.#options.process.output[Symbol.dispose]();
  }

  /** For the people who are attached. */
  notice(text: string): void {
    for (const client of this.#clients) client.notice(text);
  }

  /** What another than the writer types is taken and dropped. */
  write(client: Client, payload: Uint8Array, sender: InputSender | undefined): number {
    const { input } = this.#options.process;
    if (client !== this.#clients.writer) return payload.length;
    if (!input?.open || payload.length === 0) return payload.length;
    const taken = input.write(payload, sender);
    if (taken > 0) this.#options.onBytes('in', taken);
    return taken;
  }

  closeStdin(client: Client): void {
    if (client !== this.#clients.writer) return;
    // A terminal has no end of file of its own: that is a character which the person types.
    if (!this.#options.tty) this.#options.process.input?.end();
  }

  /** The window is the writer's; where nobody types, that of whoever takes part. */
  resize(client: Client): void {
    const { size } = client;
    const { writer } = this.#clients;
    const counts = writer === undefined ? client.holds : writer === client;
    if (size === undefined || !counts || !this.#options.tty || this.#status !== undefined) return;
    this.#options.process.resize(size);
    this.#options.recording?.resized(size);
  }

  advanced(): void {
    this.#output.advance();
  }

  detached(client: Client, cut: boolean): void {
    clearTimeout(this.#watches.get(client));
    this.#watches.delete(client);
    const returning = client.id !== undefined && client.id === this.#returning;
    this.#clients.remove(client, returning || this.#status !== undefined);
    this.#options.recording?.detached(client.request);
    const last = client.holds && this.#clients.participants === 0;
    const returns = cut && last && client.id !== undefined && this.#status === undefined;
    this.#output.remove(client, returns ? client.floor : undefined);
    if (returns) {
      clearTimeout(this.#hold);
      this.#hold = setTimeout(() => this.#output.release(), cutHoldMs);
    }
    this.#options.onClients();
    if (this.#closing) this[Symbol.dispose]();
  }

  /** What the last writer has sent ahead is dropped with the rest of its input. */
  #handOver(writer: Client): void {
    this.resize(writer);
    this.#drain();
  }

  #drain(): void {
    for (const client of this.#clients) client.drain();
  }

  #moved(count: number): void {
    this.#options.onBytes('out', count);
    for (const client of this.#clients) if (this.#output.waitsFor(client)) this.#watch(client);
  }

  /** One timer a client that all wait for; it looks again as long as that is so, and drops the client once others wait. */
  #watch(client: Client): void {
    if (!this.#output.waitsFor(client) || this.#watches.has(client)) return;
    const since = client.floor;
    const timer = setTimeout(() => {
      this.#watches.delete(client);
      const stuck = this.#output.waitsFor(client) && client.floor === since;
      if (stuck && this.#clients.participants > 1) return client.drop(tooSlow());
      this.#watch(client);
    }, blockedClientMs);
    this.#watches.set(client, timer);
  }
}

const replaced = (): CrashcartError =>
  new CrashcartError(reasons.Unavailable, 'This client has come back over another connection.');

const tooSlow = (): CrashcartError =>
  new CrashcartError(
    reasons.Timeout,
    `This client took no output for ${blockedClientMs / 1000} s while others waited for it: attach again for the rest.`,
  );
