import { Readable } from 'node:stream';
import type { CrashcartError } from '../../base/errors.ts';
import { channels, parseResize, type Size } from '../../wire/channel.ts';
import { encodeStatus, type Status, statusOfError } from '../../wire/status.ts';
import type { Reader } from './output.ts';
import type { Attachment, AttachRequest, Frame } from './sessions.ts';

/** What a client may do to its session. */
export interface ClientHost {
  /** False: not taken, try again after `Client.drain`. */
  write(payload: Uint8Array): boolean;
  closeStdin(): void;
  resize(size: Size): void;
  /** The client can take output again. */
  resume(): void;
  readonly recorded: boolean;
  /** The client has gone: called once. */
  detached(client: Client): void;
}

/** Frames of up to 32 KiB: half a megabyte on its way to one client, then the command is paused. */
const queuedFrames = 16;

/** One attached client: a bounded queue of frames towards it, and its input towards the session. */
export class Client implements Attachment, Reader {
  readonly output: Readable;
  readonly request: AttachRequest;
  readonly #host: ClientHost;
  readonly #drainListeners = new Set<() => void>();
  #blocked = false;
  #delivered = 0;
  #ended = false;
  #detached = false;

  constructor(request: AttachRequest, host: ClientHost) {
    this.request = request;
    this.#host = host;
    this.output = new Readable({
      objectMode: true,
      highWaterMark: queuedFrames,
      read: () => this.#unblock(),
      destroy: (error, done) => {
        this.close();
        done(error);
      },
    });
    this.output.on('error', () => this.close());
  }

  get recorded(): boolean {
    return this.#host.recorded;
  }

  get blocked(): boolean {
    return this.#blocked;
  }

  /** Grows with every frame: tells a client that is stuck from one that is blocked again. */
  get deliveredFrames(): number {
    return this.#delivered;
  }

  deliver(frame: Frame): void {
    if (this.#ended || !this.#wants(frame.channel)) return;
    this.#delivered += 1;
    if (!this.output.push(frame)) this.#blocked = true;
  }

  /** The last frame, then the end of the output. */
  end(status: Status): void {
    if (this.#ended) return;
    this.#ended = true;
    this.output.push({ channel: channels.status, payload: encodeStatus(status) } satisfies Frame);
    this.output.push(null);
    this.#blocked = false;
  }

  /** Ends only this client, with the reason. */
  drop(error: CrashcartError): void {
    this.end(statusOfError(error));
    this.close();
  }

  drain(): void {
    for (const listener of this.#drainListeners) listener();
  }

  input(frame: Frame): boolean {
    if (this.#detached) return true;
    if (frame.channel === channels.stdin) return this.request.stdin ? this.#host.write(frame.payload) : true;
    if (frame.channel === channels.resize) {
      const size = parseResize(frame.payload);
      if (size) this.#host.resize(size);
    }
    if (frame.channel === channels.close && frame.payload[0] === channels.stdin && this.request.stdin) {
      this.#host.closeStdin();
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
    this.#blocked = false;
    // What was queued with a final status may still be read; without one there is nothing more to wait for.
    if (!this.#ended) this.output.destroy();
    this.#host.detached(this);
  }

  #wants(channel: number): boolean {
    if (channel === channels.stdout) return this.request.stdout;
    return channel === channels.stderr ? this.request.stderr : true;
  }

  #unblock(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#host.resume();
  }
}
