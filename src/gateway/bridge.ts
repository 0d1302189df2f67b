import http2, { type ClientHttp2Stream } from 'node:http2';
import type { WebSocket } from 'ws';
import { CrashcartError, reasons } from '../base/errors.ts';
import { channels, encodeMessage } from '../wire/channel.ts';
import type { ReceivedFrame } from '../wire/frames.ts';
import type { KeepAliveOptions } from '../wire/keep-alive.ts';
import { type FrameSink, pumpFrames } from '../wire/pump.ts';
import { encodeStatus, statusOfError } from '../wire/status.ts';
import { ClientSink, forwardInput, watchClient } from './client-socket.ts';
import type { GatewayMetrics } from './metrics.ts';

export interface BridgeOptions {
  readonly metrics: Pick<GatewayMetrics, 'bytes'>;
  readonly keepAlive?: KeepAliveOptions;
  /** Ends the bridge with its reason, a CrashcartError, as the client's status. */
  readonly signal: AbortSignal;
  /** The client comes back by itself for what it has not got. */
  readonly returns?: boolean;
  /** The client only reads: of what it sends, only how far it has read goes on. */
  readonly observe?: boolean;
}

/** `detached`: the client went, the session goes on. `ended`: the agent told how it ended. */
export type BridgeEnd =
  | { readonly type: 'detached' }
  | { readonly type: 'ended' }
  | { readonly type: 'broken'; readonly error: CrashcartError };

/**
 * Copies between a client and its session until either ends; the first end cancels the other. The client always gets a status
 * message before the close 1000: the session's own, or a failure that says what broke.
 */
export async function bridge(socket: WebSocket, stream: ClientHttp2Stream, options: BridgeOptions): Promise<BridgeEnd> {
  const sink = new ClientSink(socket);
  const output = countedOutput(sink, options.metrics);
  const stopWatching = watchClient(socket, sink, { ...options.keepAlive, returns: options.returns ?? false });
  const gone = new Promise<BridgeEnd>((resolve) => socket.once('close', () => resolve({ type: 'detached' })));
  const broken = new Promise<BridgeEnd>((resolve) => {
    const breakWith = (error: CrashcartError): void => resolve({ type: 'broken', error });
    forwardInput(socket, stream, {
      onInvalid: breakWith,
      onBytes: (count) => options.metrics.bytes('in', count),
      ...(options.observe ? { only: channels.resume } : {}),
    });
    // ws itself refused a frame (too long, no UTF-8 …) and has closed; 'close' follows and ends the bridge.
    socket.on('error', () => undefined);
    const { signal } = options;
    const abort = (): void => breakWith(CrashcartError.from(signal.reason));
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    void gone.then(() => signal.removeEventListener('abort', abort));
  });
  const ended = pumpFrames(stream, output).then(
    (): BridgeEnd => (output.statusSeen ? { type: 'ended' } : { type: 'broken', error: agentLost() }),
    (cause): BridgeEnd => (output.statusSeen ? { type: 'ended' } : { type: 'broken', error: agentLost(cause) }),
  );
  const end = await Promise.race([ended, gone, broken]);
  stream.close(http2.constants.NGHTTP2_CANCEL);
  if (end.type !== 'detached') await farewell(socket, sink, end);
  stopWatching();
  return end;
}

async function farewell(socket: WebSocket, sink: ClientSink, end: BridgeEnd): Promise<void> {
  // What the client still sends is of no use, and a paused socket would not see its close message.
  socket.removeAllListeners('message');
  socket.resume();
  if (end.type === 'broken') {
    const status = encodeStatus(statusOfError(end.error));
    socket.send(encodeMessage(channels.status, status));
  }
  // Closing starts a timer in ws that cuts the connection: a slow reader must have got the rest before.
  await sink.flushed();
  socket.close(1000);
}

interface CountedOutput extends FrameSink {
  readonly statusSeen: boolean;
}

function countedOutput(sink: ClientSink, metrics: Pick<GatewayMetrics, 'bytes'>): CountedOutput {
  let statusSeen = false;
  return {
    get statusSeen() {
      return statusSeen;
    },
    write(frame: ReceivedFrame) {
      const taken = sink.write(frame);
      if (!taken) return false;
      if (frame.channel === channels.status) statusSeen = true;
      else metrics.bytes('out', frame.payload.length);
      return true;
    },
    onDrain: (listener) => sink.onDrain(listener),
  };
}

const agentLost = (cause?: unknown): CrashcartError =>
  new CrashcartError(
    reasons.AgentLost,
    'the connection to the node agent was lost; the session may still run: attach again',
    cause === undefined ? {} : { cause },
  );
