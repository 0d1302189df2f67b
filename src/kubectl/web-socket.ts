import type { IncomingHttpHeaders } from 'node:http';
import { WebSocket } from 'ws';
import { CrashcartError, reasons } from '../base/errors.ts';
import type { Query } from '../kube/connection.ts';
import { type ApiClient, readBody } from './api-client.ts';
import { ApiRefusal } from './api-refusal.ts';

export interface Upgrade {
  readonly path: string;
  readonly query?: Query;
  readonly protocols?: readonly string[];
  readonly maxMessageBytes: number;
  /** Until the handshake is answered. */
  readonly waitMs: number;
  /** What it means when it is not, as the beginning of a sentence. */
  readonly late: string;
  /** Of the 101. */
  readonly onHeaders?: (headers: IncomingHttpHeaders, socket: WebSocket) => void;
}

/** Of a refusal, which is a Status or a proxy's page. */
const refusalBytes = 256 * 1024;

/**
 * A WebSocket to the API server, or to the gateway, as this user. It is returned paused: no byte is lost between the handshake and the caller's listeners.
 * @throws ApiRefusal when it was refused, CrashcartError when nobody answered, the signal's reason when it was aborted
 */
export async function openWebSocket(api: ApiClient, wanted: Upgrade, signal: AbortSignal): Promise<WebSocket> {
  const { path, query, protocols = [], maxMessageBytes, waitMs, late, onHeaders } = wanted;
  const { agent, options, headers } = await api.access();
  const url = api.url(path, query);
  url.protocol = 'wss:';
  signal.throwIfAborted();
  const socket = new WebSocket(url, [...protocols], {
    ...options,
    agent,
    headers,
    handshakeTimeout: waitMs,
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
  });
  const { promise, resolve, reject } = Promise.withResolvers<WebSocket>();
  const onAbort = (): void => socket.terminate();
  signal.addEventListener('abort', onAbort, { once: true });
  socket.once('upgrade', (response) => onHeaders?.(response.headers, socket));
  socket.once('open', () => {
    socket.pause();
    resolve(socket);
  });
  socket.once('unexpected-response', (request, response) => {
    readBody(response, refusalBytes)
      .then((body) => reject(new ApiRefusal(body, response.statusCode ?? 0)))
      .catch((cause) => reject(api.failure(cause)))
      .finally(() => request.destroy());
  });
  // It stays: later errors are told by the close event, and without a listener they would end the process.
  socket.on('error', (cause) => {
    if (signal.aborted) reject(signal.reason);
    else if (!/handshake has timed out/.test(cause.message)) reject(api.failure(cause));
    else reject(new CrashcartError(reasons.Timeout, `${late} in ${waitMs / 1_000} s`, { cause }));
  });
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
