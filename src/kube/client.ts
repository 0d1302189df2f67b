import { Agent, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { CrashcartError, reasons } from '../base/errors.ts';
import { type Connection, type Query, requestUrl } from './connection.ts';
import { errorOfAnswer, isCode, KubeError } from './kube-error.ts';

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path of the API, escaped: see `resourcePath`. */
  readonly path: string;
  readonly query?: Query;
  /** Anything that JSON can carry. */
  readonly body?: unknown;
  readonly contentType?: string;
  /** For the whole of one try. Default 15 s. */
  readonly timeoutMs?: number;
  /** May be sent again when it is not known whether the first one arrived. Default: GET only. */
  readonly idempotent?: boolean;
  readonly signal?: AbortSignal;
}

export interface KubeClient {
  readonly connection: Connection;
  /** The parsed answer. Throws KubeError for what the server refused, CrashcartError `Unavailable` or `Timeout` for the way to it. */
  request(request: KubeRequest): Promise<unknown>;
  /** A watch: the body, still to be read, once the server has answered 200. The caller destroys it. */
  stream(request: KubeRequest): Promise<IncomingMessage>;
  close(): void;
}

const defaultTimeoutMs = 15_000;
const tries = 4;
/** A list page of 500 sessions is about 2 MiB. */
const maxBodyBytes = 16 * 1024 * 1024;
const maxRetryAfterMs = 10_000;

export function createKubeClient(connection: Connection, userAgent = 'crashcart'): KubeClient {
  // The API server closes idle connections after 90 s: let ours go first, so that a request never meets the closing.
  const agent = new HttpsAgent({ keepAlive: true, maxSockets: 64, maxFreeSockets: 8, timeout: 75_000 });

  const send = async (request: KubeRequest, signal: AbortSignal | undefined): Promise<IncomingMessage> => {
    const { tls, headers, agent: proxy } = await connection.credentials();
    const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
    return await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = httpsRequest(
        requestUrl(connection, request.path, request.query),
        {
          ...tls,
          method: request.method,
          agent: proxy instanceof Agent ? proxy : agent,
          ...(signal ? { signal } : {}),
          headers: {
            accept: 'application/json',
            'user-agent': userAgent,
            ...(body
              ? { 'content-type': request.contentType ?? 'application/json', 'content-length': body.length }
              : {}),
            ...headers,
          },
        },
        resolve,
      );
      outgoing.once('error', reject);
      outgoing.end(body);
    });
  };

  const once = async (request: KubeRequest): Promise<unknown> => {
    // Whole milliseconds, or the timer throws.
    const timeoutMs = Math.ceil(request.timeoutMs ?? defaultTimeoutMs);
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = request.signal ? AbortSignal.any([request.signal, timeout]) : timeout;
    try {
      const answer = await send(request, signal);
      const text = await readBody(answer);
      if (!isSuccess(answer)) throw errorOfAnswer(answer.statusCode ?? 0, text, answer.headers['retry-after']);
      return text === '' ? undefined : JSON.parse(text);
    } catch (caught) {
      if (timeout.aborted) {
        const message = `the API server did not answer ${request.method} ${request.path} within ${timeoutMs} ms`;
        throw new CrashcartError(reasons.Timeout, message, { cause: caught });
      }
      throw wayError(caught, request);
    }
  };

  return {
    connection,
    async request(request) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await once(request);
        } catch (caught) {
          const pauseMs = attempt < tries ? retryPauseMs(caught, request, attempt) : undefined;
          if (pauseMs === undefined || request.signal?.aborted) throw caught;
          await sleep(pauseMs, undefined, request.signal ? { signal: request.signal } : {});
        }
      }
    },
    async stream(request) {
      let answer: IncomingMessage;
      try {
        answer = await send(request, request.signal);
      } catch (caught) {
        throw wayError(caught, request);
      }
      if (isSuccess(answer)) return answer;
      throw errorOfAnswer(answer.statusCode ?? 0, await readBody(answer), answer.headers['retry-after']);
    },
    close: () => agent.destroy(),
  };
}

const isSuccess = ({ statusCode = 0 }: IncomingMessage): boolean => statusCode >= 200 && statusCode < 300;

/** How long to wait before the next try; undefined: it must not, or need not, be tried again. */
function retryPauseMs(caught: unknown, request: KubeRequest, attempt: number): number | undefined {
  // 429 means that nothing was done, whatever the verb.
  if (isCode(caught, 429)) return Math.min(caught.retryAfterMs ?? 1_000, maxRetryAfterMs);
  if (!(request.idempotent ?? request.method === 'GET')) return undefined;
  if (caught instanceof KubeError && caught.code < 500) return undefined;
  if (caught instanceof CrashcartError && caught.reason === reasons.Unavailable) return 50 * 4 ** (attempt - 1);
  return undefined;
}

function wayError(caught: unknown, request: KubeRequest): unknown {
  if (caught instanceof CrashcartError || request.signal?.aborted) return caught;
  const message = caught instanceof Error ? caught.message : String(caught);
  return new CrashcartError(
    reasons.Unavailable,
    `the API server could not be reached for ${request.method} ${request.path}: ${message}`,
    { cause: caught },
  );
}

async function readBody(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) {
      answer.destroy();
      throw new CrashcartError(reasons.Invalid, `the API server's answer is larger than ${maxBodyBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
