import type { RawData, WebSocket } from 'ws';
import { channels, decodeMessage, encodeMessage, resizePayload, type Size } from '../wire/channel.ts';
import { keepAlive } from '../wire/keep-alive.ts';
import { type ExitOutcome, exitOfStatus } from '../wire/status.ts';
import type { Host } from './host.ts';
import { sendInput } from './stream-input.ts';

export type StreamEnd =
  | { readonly type: 'exit'; readonly outcome: ExitOutcome }
  /** The connection ended without a status: nobody knows yet what became of the command. */
  | { readonly type: 'cut'; readonly why: string }
  /** Nobody reads our output any more: `| head`. */
  | { readonly type: 'broken-pipe' }
  | { readonly type: 'aborted' };

export interface StreamOptions {
  readonly stdin: boolean;
  readonly signal: AbortSignal;
  /** Sees the output on its way to standard output. */
  readonly saw?: (output: Buffer) => void;
}

/** After the status comes the close; a server that does not send it is not waited for longer than this. */
const closeMs = 2_000;

/** Carries a session's bytes both ways, pausing each direction while its taker is behind, until it ends. */
export class SessionStream {
  readonly #socket: WebSocket;
  readonly #host: Host;
  readonly #end = Promise.withResolvers<StreamEnd>();
  /** Output streams that asked for a pause. */
  readonly #full = new Set<NodeJS.WriteStream>();
  #outcome: ExitOutcome | undefined;
  #heard = (): void => undefined;

  constructor(socket: WebSocket, host: Host) {
    this.#socket = socket;
    this.#host = host;
  }

  resize(size: Size): void {
    if (this.#socket.readyState === this.#socket.OPEN) {
      this.#socket.send(encodeMessage(channels.resize, resizePayload(size)));
    }
  }

  async run({ stdin, signal, saw }: StreamOptions): Promise<StreamEnd> {
    const socket = this.#socket;
    const onAbort = (): void => this.#end.resolve({ type: 'aborted' });
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    for (const stream of [this.#host.stdout, this.#host.stderr]) stream.on('error', this.#onOutputError);
    socket.on('message', (data, isBinary) => {
      if (isBinary) this.#take(data, saw);
    });
    socket.on('pong', () => this.#heard());
    socket.once('close', (code) => this.#onClose(code));
    const stopPings = this.#ping();
    const stopInput = stdin ? sendInput(this.#host.stdin, socket) : undefined;
    if (!this.#closed()) socket.resume();
    const end = await this.#end.promise;
    stopPings();
    stopInput?.();
    signal.removeEventListener('abort', onAbort);
    if (end.type === 'exit') socket.close(1000);
    else socket.terminate();
    return end;
  }

  /** The peer may have closed between the handshake and now: then no event will come any more. */
  #closed(): boolean {
    if (this.#socket.readyState !== this.#socket.CLOSED) return false;
    this.#onClose(1006);
    return true;
  }

  #take(data: RawData, saw: StreamOptions['saw']): void {
    this.#heard();
    const message = data as Buffer;
    if (message.length === 0) return;
    const { channel, payload } = decodeMessage(message);
    if (channel === channels.stdout) {
      saw?.(payload);
      this.#write(this.#host.stdout, payload);
    } else if (channel === channels.stderr) this.#write(this.#host.stderr, payload);
    else if (channel === channels.status) this.#onStatus(payload);
  }

  #write(stream: NodeJS.WriteStream, payload: Buffer): void {
    if (stream.write(payload) || this.#full.has(stream)) return;
    this.#full.add(stream);
    this.#socket.pause();
    stream.once('drain', () => {
      this.#full.delete(stream);
      if (this.#full.size === 0 && this.#socket.readyState === this.#socket.OPEN) this.#socket.resume();
    });
  }

  #onStatus(payload: Buffer): void {
    const outcome = exitOfStatus(payload);
    this.#outcome ??= outcome;
    setTimeout(() => this.#end.resolve({ type: 'exit', outcome }), closeMs).unref();
  }

  #onClose(code: number): void {
    if (this.#outcome) this.#end.resolve({ type: 'exit', outcome: this.#outcome });
    else this.#end.resolve({ type: 'cut', why: `the connection was closed (${code}) before the session's end` });
  }

  readonly #onOutputError = (error: NodeJS.ErrnoException): void => {
    if (error.code === 'EPIPE') this.#end.resolve({ type: 'broken-pipe' });
    else this.#end.resolve({ type: 'cut', why: `the output cannot be written: ${error.message}` });
  };

  /** While we are paused, pongs wait behind the output: then silence is our doing and says nothing about the peer. */
  #ping(): () => void {
    return keepAlive({
      ping: (onPong) => {
        this.#heard = onPong;
        if (this.#full.size > 0) onPong();
        this.#socket.ping();
      },
      dead: () => {
        this.#end.resolve({ type: 'cut', why: 'nothing was heard from the server for 30 s' });
      },
    });
  }
}
