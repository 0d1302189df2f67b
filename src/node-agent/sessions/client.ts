import { Readable } from 'node:stream';
import type { CrashcartError } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import { limits } from '../../wire/agent-protocol.ts';
import { channels, parseResize, type Size } from '../../wire/channel.ts';
import { encodeResumption, parseProgress, type Resumption } from '../../wire/resume.ts';
import { encodeStatus, type Status, statusOfError } from '../../wire/status.ts';
import type { InputSender, SessionOutput } from '../session/request.ts';
import type { Reader } from './output.ts';
import type { Attachment, AttachRequest, Frame } from './sessions.ts';
import { WaitingInput } from './waiting-input.ts';

/** What a client may do to its session. */
export interface ClientHost {
  readonly log: SessionOutput;
  /** How many bytes were taken; less than all: the rest is tried again by `Client.drain`. */
  write(client: Client, payload: Uint8Array, sender: InputSender | undefined): number;
  closeStdin(client: Client): void;
  resize(client: Client): void;
  readonly recorded: boolean;
  /** The client has moved on. */
  advanced(): void;
  /** How the command ended, once all its output is there. */
  readonly status: Status | undefined;
  /** The client has gone: called once. `cut`: without having said so. */
  detached(client: Client, cut: boolean): void;
}

/** Frames of up to 60 KiB: half a megabyte on its way to one client. */
const queuedFrames = 8;
/** What was received is confirmed this often at most. */
const confirmMs = 100;

export interface ClientStart {
  readonly position: number;
  /** Of its input, by an earlier attachment of the same client; null: it is not remembered. */
  readonly received: number | null;
  /** When it began to type; undefined for one that does not. */
  readonly turn?: number | undefined;
}

/** One attached client: a place in the output, a bounded queue of frames towards it, and its input towards the session. */
export class Client implements Attachment, Reader {
  readonly output: Readable;
  readonly request: AttachRequest;
  /** Who it is, safe to print. */
  readonly user: string;
  readonly since = new Date().toISOString().slice(0, 19).concat('Z');
  readonly turn: number | undefined;
  /** Of its window, when it has said one. */
  size: Size | undefined;
  readonly #host: ClientHost;
  readonly #drainListeners = new Set<() => void>();
  #position: number;
  #confirmed: number;
  #received: number;
  readonly #waiting = new WaitingInput();
  #confirming: NodeJS.Timeout | undefined;
  #wanted = false;
  #pumping = false;
  #said = false;
  #leaving = false;
  #ended = false;
  #detached = false;

  constructor(request: AttachRequest, host: ClientHost, start: ClientStart) {
    this.request = request;
    this.user = printable(request.user || 'somebody').slice(0, limits.userLength);
    this.turn = start.turn;
    this.#host = host;
    this.#position = start.position;
    this.#confirmed = start.position;
    this.#received = start.received ?? 0;
    this.output = new Readable({
      objectMode: true,
      highWaterMark: queuedFrames,
      read: () => {
        this.#wanted = true;
        this.pump();
      },
      destroy: (error, done) => {
        this.close();
        done(error);
      },
    });
    this.output.on('error', () => this.close());
    const { resume } = request;
    if (resume === undefined) return;
    const from = Math.max(start.position, this.host.log.read(start.position, 1)?.position ?? start.position);
    const lost = resume.position === undefined ? 0 : from - resume.position;
    this.#position = from;
    this.#confirmed = from;
    this.#tell({
      position: from,
      ...(lost > 0 ? { lost } : {}),
      input: start.received,
      ...(start.turn === undefined ? {} : { turn: start.turn }),
    });
  }

  get recorded(): boolean {
    return this.#host.recorded;
  }

  get host(): ClientHost {
    return this.#host;
  }

  /** The name under which it comes back. */
  get id(): bigint | undefined {
    return this.request.resume?.id;
  }

  /** It was here before, over another connection. */
  get returning(): boolean {
    return this.request.resume?.position !== undefined;
  }

  get holds(): boolean {
    return !this.request.observe;
  }

  /** A client that can come back has what it has confirmed; of another one, nobody knows more than what it was given. */
  get floor(): number {
    return this.request.resume ? this.#confirmed : this.#position;
  }

  pump(): void {
    // A reader may call back while it is given a frame.
    if (this.#pumping || this.#ended) return;
    this.#pumping = true;
    try {
      while (this.#wanted && this.#move());
    } finally {
      this.#pumping = false;
    }
    const { status, log } = this.#host;
    if (status && !this.#ended && this.#position >= log.head) this.#end(status);
    this.#host.advanced();
  }

  /** For people, beside the output: it has no position. */
  notice(text: string): void {
    if (this.#ended) return;
    if (this.request.resume) this.#tell({ notice: text });
    else if (this.request.tty) {
      this.#push({ channel: channels.stdout, payload: Buffer.from(`\r\n[crashcart] ${text}\r\n`) });
    }
  }

  /** Ends only this client, with the reason. */
  drop(error: CrashcartError): void {
    this.#leaving = true;
    this.#end(statusOfError(error));
    this.close();
  }

  drain(): void {
    if (this.#detached) return;
    this.#flow();
    for (const listener of this.#drainListeners) listener();
  }

  input(frame: Frame): boolean {
    if (this.#detached) return true;
    if (frame.channel === channels.stdin) return this.request.stdin ? this.#type(frame.payload) : true;
    if (frame.channel === channels.resize) {
      const size = parseResize(frame.payload);
      if (size) {
        this.size = size;
        this.#host.resize(this);
      }
    }
    if (frame.channel === channels.resume && this.request.resume) this.#progress(frame.payload);
    if (frame.channel === channels.close && frame.payload[0] === channels.stdin && this.request.stdin) {
      this.#waiting.ended = true;
      this.#flow();
    }
    return true;
  }

  onDrain(listener: () => void): () => void {
    this.#drainListeners.add(listener);
    return () => this.#drainListeners.delete(listener);
  }

  close(): void {
    if (this.#detached) return;
    this.#detached = true;
    clearTimeout(this.#confirming);
    this.#waiting.drop();
    const cut = !this.#leaving && !this.#ended;
    // What was queued with a final status may still be read; without one there is nothing more to wait for.
    if (!this.#ended) this.output.destroy();
    this.#host.detached(this, cut);
  }

  #move(): boolean {
    const piece = this.#host.log.read(this.#position, limits.framePayloadBytes);
    if (piece === undefined) return false;
    const lost = piece.position - this.#position;
    if (lost > 0 && this.request.resume) this.#tell({ position: piece.position, lost });
    this.#position = piece.position + piece.payload.length;
    if (this.#wants(piece.channel)) this.#push({ channel: piece.channel, payload: piece.payload });
    return true;
  }

  #push(frame: Frame): void {
    if (!this.output.push(frame)) this.#wanted = false;
  }

  #tell(resumption: Resumption): void {
    this.#push({ channel: channels.resume, payload: encodeResumption(resumption) });
  }

  #type(payload: Uint8Array): boolean {
    const taken = this.#waiting.empty ? this.#write(payload) : 0;
    return taken === payload.length || this.#waiting.push(payload.subarray(taken));
  }

  #flow(): void {
    this.#waiting.flow((payload) => this.#write(payload));
    if (!this.#waiting.ended || !this.#waiting.empty) return;
    this.#waiting.ended = false;
    this.#host.closeStdin(this);
  }

  #write(payload: Uint8Array): number {
    const id = this.request.resume?.id;
    const taken = this.#host.write(this, payload, id === undefined ? undefined : { id, received: this.#received });
    this.#received += taken;
    if (id !== undefined && taken > 0) this.#confirmLater();
    return taken;
  }

  #confirmLater(): void {
    this.#confirming ??= setTimeout(() => {
      this.#confirming = undefined;
      if (!this.#ended && !this.#detached) this.#tell({ input: this.#received });
    }, confirmMs);
  }

  #progress(payload: Uint8Array): void {
    const progress = parseProgress(payload);
    if (progress?.leaving) this.#leaving = true;
    if (progress?.position === undefined) return;
    this.#confirmed = Math.min(this.#position, Math.max(this.#confirmed, progress.position));
    this.#host.advanced();
  }

  /** The last frame, then the end of the output. */
  #end(status: Status): void {
    if (this.#said) return;
    this.#said = true;
    this.#ended = true;
    this.output.push({ channel: channels.status, payload: encodeStatus(status) } satisfies Frame);
    this.output.push(null);
  }

  #wants(channel: number): boolean {
    if (channel === channels.stdout) return this.request.stdout;
    return channel === channels.stderr ? this.request.stderr : true;
  }
}
