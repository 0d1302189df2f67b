import type { RawData, WebSocket } from 'ws';
import { channels, decodeMessage, encodeMessage, resizePayload, type Size } from '../wire/channel.ts';
import { keepAlive } from '../wire/keep-alive.ts';
import { encodeProgress, parseResumption } from '../wire/resume.ts';
import { type ExitOutcome, exitOfStatus } from '../wire/status.ts';
import type { Carried } from './carried.ts';
import type { Host } from './host.ts';
import { type Filter, sendInput } from './stream-input.ts';

export type StreamEnd =
  | { readonly type: 'exit'; readonly outcome: ExitOutcome }
  /** The connection ended without a status: nobody knows yet what became of the command. */
  | { readonly type: 'cut'; readonly why: string; readonly output?: true }
  /** Nobody reads our output any more: `| head`. */
  | { readonly type: 'broken-pipe' }
  | { readonly type: 'aborted' }
  /** The person left by the escape sequence. */
  | { readonly type: 'detached' };

export interface StreamOptions {
  readonly stdin: boolean;
  readonly signal: AbortSignal;
  /** Sees the output on its way to standard output. */
  readonly saw?: (output: Buffer) => void;
  /** What of the session outlives this connection. */
  readonly carried: Carried;
  readonly filter?: Filter;
  /** A message of the session for the person, and output that is gone. */
  readonly onNotice?: (text: string) => void;
  readonly onLost?: (bytes: number) => void;
}

/** What we have written out is told this often, so that the session may let go of it. */
const progressBytes = 128 * 1024;
const progressMs = 250;

/** After the status comes the close; a server that does not send it is not waited for longer than this. */
const closeMs = 2_000;
const goodbyeMs = 500;

/** Carries a session's bytes both ways, pausing each direction while its taker is behind, until it ends. */
export class SessionStream {
  readonly #socket: WebSocket;
  readonly #host: Host;
  readonly #end = Promise.withResolvers<StreamEnd>();
  /** Output streams that asked for a pause. */
  readonly #full = new Set<NodeJS.WriteStream>();
  #outcome: ExitOutcome | undefined;
  #heard = (): void => undefined;
  #input: ReturnType<typeof sendInput> | undefined;
  #told = 0;
  #telling: NodeJS.Timeout | undefined;
  #greeted = false;

  constructor(socket: WebSocket, host: Host) {
    this.#socket = socket;
    this.#host = host;
  }

  resize(size: Size): void {
    if (this.#socket.readyState === this.#socket.OPEN) {
      this.#socket.send(encodeMessage(channels.resize, resizePayload(size)));
    }
  }

  /** Ends this connection on purpose: nobody will come back for the rest. */
  detach(): void {
    this.#end.resolve({ type: 'detached' });
  }

  async run(options: StreamOptions): Promise<StreamEnd> {
    const { stdin, signal, carried, filter = (typed) => typed } = options;
    const socket = this.#socket;
    const onAbort = (): void => this.#end.resolve({ type: 'aborted' });
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    for (const stream of [this.#host.stdout, this.#host.stderr]) stream.on('error', this.#onOutputError);
    socket.on('message', (data, isBinary) => {
      if (isBinary) this.#take(data, options);
    });
    socket.on('pong', () => this.#heard());
    socket.once('close', (code) => this.#onClose(code));
    const stopPings = this.#ping();
    this.#input = stdin ? sendInput(this.#host.stdin, socket, carried, filter) : undefined;
    if (!this.#closed()) socket.resume();
    const end = await this.#end.promise;
    stopPings();
    this.#input?.stop();
    clearTimeout(this.#telling);
    signal.removeEventListener('abort', onAbort);
    for (const stream of [this.#host.stdout, this.#host.stderr]) stream.off('error', this.#onOutputError);
    if (end.type === 'exit') socket.close(1000);
    else if (end.type === 'cut' || !carried.resumable || socket.readyState !== socket.OPEN) socket.terminate();
    else this.#sayGoodbye();
    return end;
  }

  /** The peer may have closed between the handshake and now: then no event will come any more. */
  #closed(): boolean {
    if (this.#socket.readyState !== this.#socket.CLOSED) return false;
    this.#onClose(1006);
    return true;
  }

  #take(data: RawData, options: StreamOptions): void {
    this.#heard();
    const message = data as Buffer;
    if (message.length === 0) return;
    const { channel, payload } = decodeMessage(message);
    if (channel === channels.stdout) {
      options.saw?.(payload);
      this.#write(this.#host.stdout, payload);
    } else if (channel === channels.stderr) this.#write(this.#host.stderr, payload);
    else if (channel === channels.status) this.#onStatus(payload);
    else if (channel === channels.resume) this.#onResumption(payload, options);
    if (channel === channels.stdout || channel === channels.stderr) this.#count(payload.length, options.carried);
  }

  #onResumption(payload: Buffer, { carried, onNotice, onLost }: StreamOptions): void {
    const resumption = parseResumption(payload);
    if (resumption === undefined) return;
    const { position, lost, notice, turn } = resumption;
    const again = carried.resumable && !this.#greeted;
    carried.confirm(resumption, !this.#greeted);
    if (turn !== undefined) carried.turn = turn;
    if (lost !== undefined && lost > 0) onLost?.(lost);
    if (position !== undefined) {
      carried.position = position;
      this.#told = position;
    }
    if (notice !== undefined) onNotice?.(notice);
    carried.resumable = true;
    if (again) this.#input?.replay();
    else this.#input?.confirmed();
    this.#greeted = true;
  }

  /** Output that was handed to our own output: another connection goes on behind it. */
  #count(bytes: number, carried: Carried): void {
    if (!carried.resumable || carried.position === undefined) return;
    carried.position += bytes;
    if (carried.position - this.#told >= progressBytes && this.#full.size === 0) this.#tell(carried);
    else this.#telling ??= setTimeout(() => this.#tell(carried), progressMs);
  }

  #tell(carried: Carried): void {
    clearTimeout(this.#telling);
    this.#telling = undefined;
    const { position } = carried;
    if (position === undefined || this.#socket.readyState !== this.#socket.OPEN) return;
    this.#told = position;
    this.#socket.send(encodeMessage(channels.resume, encodeProgress({ position })), () => undefined);
  }

  #sayGoodbye(): void {
    const cut = setTimeout(() => this.#socket.terminate(), goodbyeMs);
    this.#socket.send(encodeMessage(channels.resume, encodeProgress({ leaving: true })), () =>
      this.#socket.close(1000),
    );
    this.#socket.once('close', () => clearTimeout(cut));
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
    else this.#end.resolve({ type: 'cut', why: `the output cannot be written: ${error.message}`, output: true });
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
        this.#end.resolve({ type: 'cut', why: 'nothing was heard from the server for half a minute' });
      },
    });
  }
}
