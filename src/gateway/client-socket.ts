import type { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import { CrashcartError, reasons } from '../base/errors.ts';
import { channels } from '../wire/channel.ts';
import { encodeFrame, type ReceivedFrame, slices } from '../wire/frames.ts';
import { defaultDeadAfterMs, type KeepAliveOptions, keepAlive } from '../wire/keep-alive.ts';
import type { FrameSink } from '../wire/pump.ts';

/** Over this the agent's stream is paused, and so the command; under half of it, it goes on. */
const highWaterBytes = 1024 * 1024;
const lowWaterBytes = highWaterBytes / 2;
/** Node's own mark for a stream is 16 KiB, less than a frame: it would send one frame a round. */
const inputHighWaterBytes = 256 * 1024;
/**
 * A client that does not read (`… | less`, Ctrl-S) cannot answer a ping either, since pings queue behind the output. One that owes us reading
 * gets this long. One that can come back for what it has not got loses nothing by being let go of: it gets this long only when it owes more than
 * may be on its way to a client that has just died, and is else seen within 30 s like one that has read everything.
 */
const slowReaderMs = 10 * 60_000;
const onItsWayBytes = 64 * 1024;

/** Output of the session: a sink for the pump that is full while the client does not read. */
export class ClientSink implements FrameSink {
  readonly #socket: WebSocket;
  readonly #onSent = (): void => this.#sent();
  #drained: (() => void) | undefined;
  #full = false;
  /** How many bytes were handed to the socket. */
  bytes = 0;

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  write({ message }: ReceivedFrame): boolean {
    if (this.#socket.bufferedAmount >= highWaterBytes) {
      this.#full = true;
      return false;
    }
    this.bytes += message.length;
    this.#socket.send(message, this.#onSent);
    return true;
  }

  onDrain(listener: () => void): void {
    this.#drained = listener;
  }

  /** Resolves when all that was written has left the process, or the socket has closed. */
  flushed(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.once('close', () => resolve());
      // A ping travels behind everything that was sent before it.
      this.#socket.ping(String(this.bytes), undefined, () => resolve());
    });
  }

  #sent(): void {
    if (!this.#full || this.#socket.bufferedAmount > lowWaterBytes) return;
    this.#full = false;
    this.#drained?.();
  }
}

/** What a client says on the resume channel is a number or two. */
const maxProgressBytes = 1024;

export interface InputListeners {
  readonly onInvalid: (error: CrashcartError) => void;
  readonly onBytes: (count: number) => void;
  /** All other channels are dropped, whatever is in them. */
  readonly only?: number;
}

/**
 * Input of the session: the client's messages as frames, pausing the client while the stream is full. `onInvalid` is called for what a
 * client may not send; nothing is forwarded after it.
 */
export function forwardInput(socket: WebSocket, stream: Duplex, { onInvalid, onBytes, only }: InputListeners): void {
  stream.on('drain', () => socket.resume());
  socket.on('message', (data: RawData, isBinary: boolean) => {
    if (stream.destroyed || stream.writableEnded) return;
    try {
      // The binaryType of a server's socket is `nodebuffer`.
      const message = data as Buffer;
      if (only !== undefined && message[0] !== only) return;
      for (const frame of framesOf(message, isBinary, socket.protocol)) stream.write(frame);
      onBytes(message.length - 1);
      if (stream.writableLength > inputHighWaterBytes) socket.pause();
    } catch (caught) {
      onInvalid(CrashcartError.from(caught));
    }
  });
}

function* framesOf(data: Buffer, isBinary: boolean, protocol: string): Generator<Buffer, void, undefined> {
  if (!isBinary) throw new CrashcartError(reasons.Invalid, 'messages must be binary, their first byte the channel');
  const channel = data[0];
  const payload = data.subarray(1);
  if (channel === channels.stdin) {
    for (const slice of slices(payload)) yield encodeFrame(channel, slice);
  } else if (channel === channels.resize || (channel === channels.resume && payload.length <= maxProgressBytes)) {
    yield encodeFrame(channel, payload);
  } else if (channel === channels.close && protocol.startsWith('v5')) {
    // client-go closes its resize stream as well; only the end of stdin means something to a session.
    if (payload.length !== 1) throw new CrashcartError(reasons.Invalid, 'a close message must name one channel');
    if (payload[0] === channels.stdin) yield encodeFrame(channel, payload);
  } else {
    throw new CrashcartError(reasons.Invalid, `a client may not send on channel ${channel}`);
  }
}

export interface WatchOptions extends KeepAliveOptions {
  /** The client comes back for what it has not got. */
  readonly returns: boolean;
}

/** Terminates a client that does not answer. Returns `stop`. */
export function watchClient(socket: WebSocket, sink: ClientSink, options: WatchOptions): () => void {
  const { deadAfterMs = defaultDeadAfterMs, returns } = options;
  let readUpTo = 0;
  const mayOwe = returns ? onItsWayBytes : 0;
  const patienceMs = (): number =>
    sink.bytes - readUpTo <= mayOwe ? deadAfterMs : Math.max(slowReaderMs, deadAfterMs);
  let answered: (() => void) | undefined;
  socket.on('pong', (data) => {
    readUpTo = Number(data.toString('latin1'));
    answered?.();
  });
  return keepAlive(
    {
      ping: (onPong) => {
        answered = onPong;
        // While we do not read, because the session does not, the answer cannot be seen: TCP must notice by itself.
        if (socket.isPaused) onPong();
        socket.ping(String(sink.bytes));
      },
      dead: () => socket.terminate(),
      patienceMs,
    },
    options,
  );
}
