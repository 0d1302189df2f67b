import type { IncomingHttpHeaders } from 'node:http';
import http2, { type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from 'node:http2';
import { CrashcartError, reasons } from '../base/errors.ts';
import { limits } from '../wire/agent-protocol.ts';
import { readJson } from '../wire/json-body.ts';
import { errorOfRefusal } from '../wire/refusal.ts';

export interface TunnelRequest {
  readonly method: 'GET' | 'PUT' | 'DELETE' | 'POST';
  readonly path: string;
  readonly headers?: OutgoingHttpHeaders;
  /** Sent as JSON. Left out: the request's body is empty, or with `open` goes on. */
  readonly body?: unknown;
  /** The request's body stays open for the caller to write. */
  readonly open?: boolean;
  /** For the response's head. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Is given the head of an answer. */
  readonly onHead?: (headers: IncomingHttpHeaders) => void;
}

/**
 * Sends a request to the agent and resolves with the stream once it answered 200; its body is the caller's to read.
 * @throws CrashcartError what the agent refused with; AgentLost when the tunnel broke; Timeout
 */
export async function openStream(session: ClientHttp2Session, request: TunnelRequest): Promise<ClientHttp2Stream> {
  const { method, path, headers, body, open = false, timeoutMs, signal, onHead } = request;
  if (session.closed || session.destroyed) throw lost();
  const text = body === undefined ? undefined : JSON.stringify(body);
  const stream = session.request(
    {
      ':method': method,
      ':path': path,
      ...headers,
      ...(text === undefined ? {} : { 'content-type': 'application/json' }),
    },
    { endStream: text === undefined && !open },
  );
  if (text !== undefined) stream.end(text);
  if (onHead) stream.once('response', onHead);
  const status = await head(stream, timeoutMs, signal);
  if (status === 200) return stream;
  throw await refusal(stream, status);
}

/** A request whose answer is one JSON value. */
export async function requestJson(session: ClientHttp2Session, request: TunnelRequest): Promise<unknown> {
  const stream = await openStream(session, request);
  const timer = setTimeout(() => stream.destroy(timeout(request.timeoutMs)), request.timeoutMs);
  try {
    return await readJson(stream, limits.bodyBytes);
  } catch (caught) {
    throw caught instanceof CrashcartError ? caught : lost(caught);
  } finally {
    clearTimeout(timer);
    stream.close();
  }
}

function head(stream: ClientHttp2Stream, timeoutMs: number, signal: AbortSignal | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abandon);
    };
    const fail = (error: CrashcartError): void => {
      settle();
      reject(error);
      stream.close(http2.constants.NGHTTP2_CANCEL);
    };
    const abandon = (): void =>
      fail(new CrashcartError(reasons.Unavailable, 'the client went away', { cause: signal?.reason }));
    const timer = setTimeout(() => fail(timeout(timeoutMs)), timeoutMs);
    stream.once('response', (headers) => {
      settle();
      resolve(headers[':status'] ?? 0);
    });
    // Kept for the stream's whole life: an error that nobody listens for would end the process.
    stream.on('error', (cause) => fail(lost(cause)));
    stream.once('close', () => fail(lost()));
    if (signal?.aborted) abandon();
    else signal?.addEventListener('abort', abandon);
  });
}

async function refusal(stream: ClientHttp2Stream, status: number): Promise<CrashcartError> {
  try {
    return errorOfRefusal(await readJson(stream, limits.bodyBytes), status);
  } catch {
    return errorOfRefusal(undefined, status);
  } finally {
    stream.close();
  }
}

const timeout = (ms: number): CrashcartError =>
  new CrashcartError(reasons.Timeout, `the node agent did not answer within ${Math.round(ms / 1_000)} s: try again`);

const lost = (cause?: unknown): CrashcartError =>
  new CrashcartError(
    reasons.AgentLost,
    'the connection to the node agent was lost: attach again in a moment',
    cause === undefined ? {} : { cause },
  );
