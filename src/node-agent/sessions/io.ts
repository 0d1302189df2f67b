import type { Writable } from 'node:stream';
import { CrashcartError, reasons } from '../../base/errors.ts';
import type { Size } from '../../wire/channel.ts';
import type { Status } from '../../wire/status.ts';
import type { SessionRecording } from '../recording/session-recording.ts';
import { Client, type ClientHost } from './client.ts';
import type { LaunchedProcess } from './launch.ts';
import { Output } from './output.ts';
import type { Attachment, AttachRequest } from './sessions.ts';

export const clientsPerSession = 16;
/** How long a first client may take to come before output is no longer held for it. */
export const holdMs = 15_000;
/** How long one client may keep the others waiting. Alone, it waits for itself: Ctrl-S is not an error; idleTimeout bounds it. */
export const blockedClientMs = 30_000;
/** How long the rest of the output may take to come after the command's end, before its streams are given up. */
export const drainMs = 5_000;

export interface SessionIoOptions {
  readonly process: LaunchedProcess;
  readonly tty: boolean;
  readonly recording?: SessionRecording | undefined;
  readonly onBytes: (direction: 'in' | 'out', count: number) => void;
  /** The number of clients changed. */
  readonly onClients: () => void;
}

/** A running command's streams on the one side, its clients on the other. */
export class SessionIo implements ClientHost {
  readonly #options: SessionIoOptions;
  readonly #output: Output;
  readonly #clients = new Set<Client>();
  readonly #watches = new Map<Client, NodeJS.Timeout>();
  readonly #hold: NodeJS.Timeout;
  #status: Status | undefined;

  constructor(options: SessionIoOptions) {
    this.#options = options;
    const { recording } = options;
    const { stdout, stderr, stdin } = options.process;
    this.#output = new Output({
      stdout,
      ...(stderr ? { stderr } : {}),
      ...(recording ? { tap: recording } : {}),
      onBytes: (count) => this.#moved(count),
    });
    recording?.onDrain(() => this.#output.resume());
    this.#hold = setTimeout(() => this.#output.release(), holdMs);
    stdin?.on('drain', () => this.#drain());
    stdin?.on('close', () => this.#drain());
    // EPIPE: the command has closed its input, which is its right.
    stdin?.on('error', () => this.#drain());
  }

  get recorded(): boolean {
    return this.#options.recording?.observe().state === 'Recording';
  }

  get clientCount(): number {
    return this.#clients.size;
  }

  attach(request: AttachRequest): Attachment {
    if (this.#clients.size >= clientsPerSession) {
      throw new CrashcartError(
        reasons.TooManySessions,
        `The session already has ${clientsPerSession} clients: detach one of them and attach again.`,
      );
    }
    this.#options.recording?.attached(request);
    const client = new Client(request, this);
    this.#clients.add(client);
    clearTimeout(this.#hold);
    this.#output.add(client);
    this.#watch(client);
    if (this.#status) client.end(this.#status);
    this.#options.onClients();
    return client;
  }

  /** The command has ended: gives all clients, these and later ones, the rest of the output and then the status. */
  async finish(status: Status): Promise<void> {
    clearTimeout(this.#hold);
    this.#output.finish();
    const giveUp = setTimeout(() => this.#output.abandon(), drainMs);
    await this.#output.drained;
    clearTimeout(giveUp);
    this.#status = status;
    for (const client of this.#clients) client.end(status);
    this.#drain();
  }

  write(payload: Uint8Array): boolean {
    const stdin = this.#stdin();
    if (stdin === undefined || payload.length === 0) return true;
    if (stdin.writableNeedDrain) return false;
    stdin.write(payload);
    this.#options.onBytes('in', payload.length);
    return true;
  }

  closeStdin(): void {
    // A terminal has no end of file of its own: that is a character which the person types.
    if (!this.#options.tty) this.#stdin()?.end();
  }

  resize(size: Size): void {
    if (!this.#options.tty || this.#status !== undefined) return;
    this.#options.process.resize(size);
    this.#options.recording?.resized(size);
  }

  resume(): void {
    this.#output.resume();
  }

  detached(client: Client): void {
    clearTimeout(this.#watches.get(client));
    this.#watches.delete(client);
    this.#clients.delete(client);
    this.#options.recording?.detached(client.request);
    this.#output.remove(client);
    this.#options.onClients();
  }

  #stdin(): Writable | undefined {
    const { stdin } = this.#options.process;
    return stdin && !stdin.destroyed && !stdin.writableEnded ? stdin : undefined;
  }

  #drain(): void {
    for (const client of this.#clients) client.drain();
  }

  #moved(count: number): void {
    this.#options.onBytes('out', count);
    for (const client of this.#clients) if (client.blocked) this.#watch(client);
  }

  /** One timer a blocked client; it looks again as long as the client is blocked, and drops it once others wait. */
  #watch(client: Client): void {
    if (!client.blocked || this.#watches.has(client)) return;
    const since = client.deliveredFrames;
    const timer = setTimeout(() => {
      this.#watches.delete(client);
      const stuck = client.blocked && client.deliveredFrames === since;
      if (stuck && this.#clients.size > 1) return client.drop(tooSlow());
      this.#watch(client);
    }, blockedClientMs);
    this.#watches.set(client, timer);
  }
}

const tooSlow = (): CrashcartError =>
  new CrashcartError(
    reasons.Timeout,
    `This client took no output for ${blockedClientMs / 1000} s while others waited for it: attach again for the rest.`,
  );
