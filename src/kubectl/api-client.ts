import type { Agent as HttpAgent, IncomingMessage } from 'node:http';
import { Agent, type RequestOptions, request } from 'node:https';
import { CrashcartError, reasons } from '../base/errors.ts';
import { type Query, requestUrl } from '../kube/connection.ts';
import { ApiRefusal } from './api-refusal.ts';
import type { NamedConnection } from './kubeconfig.ts';

export interface ApiRequest {
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Query;
  readonly body?: object;
  /** Of the body; default `application/json`. */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called when the last byte of the request has been handed over. */
  readonly onSent?: () => void;
}

/** What `https.request` and the `ws` package need to speak to the API server as this user, over one shared connection. */
export interface Access {
  readonly agent: HttpAgent;
  readonly options: RequestOptions;
  readonly headers: Readonly<Record<string, string | string[]>>;
}

/** Lists of sessions and pods are asked for in pages; one page of 500 large pods stays far below this. */
const answerBytes = 64 * 1024 * 1024;

/** A few plain requests instead of a generated client: less to load, and every failure becomes one sentence. */
export class ApiClient {
  readonly connection: NamedConnection;
  readonly #timeoutMs: number;
  #access: Promise<Access> | undefined;

  constructor(connection: NamedConnection, timeoutMs = 30_000) {
    this.connection = connection;
    this.#timeoutMs = timeoutMs;
  }

  url(path: string, query: Query = {}): URL {
    return requestUrl(this.connection, path, query);
  }

  /**
   * One agent for all: the attach request follows the create on the same connection, without a second TLS handshake.
   * The commands of this program are short; the credentials that they start with are those that they end with.
   */
  access(): Promise<Access> {
    this.#access ??= this.connection.credentials().then(({ tls, headers, agent }) => ({
      agent: agent ?? new Agent({ keepAlive: true, ...tls, proxyEnv: process.env }),
      options: tls,
      headers: { 'User-Agent': 'kubectl-crashcart', ...headers },
    }));
    return this.#access;
  }

  /** The parsed JSON of a 2xx answer. @throws ApiRefusal for any other answer, CrashcartError Unavailable or Timeout without one. */
  send(request: ApiRequest): Promise<unknown> {
    return this.#ask(request, readAnswer);
  }

  /** The body of a 2xx answer as it is, at most `limit` bytes, and its headers. @throws as `send` does */
  bytes(request: ApiRequest, limit: number): Promise<BytesAnswer> {
    return this.#ask(request, (response) => readBytes(response, limit));
  }

  async #ask<T>(
    {
      method = 'GET',
      path,
      query = {},
      body,
      contentType = 'application/json',
      onSent,
      headers: more = {},
    }: ApiRequest,
    read: (response: IncomingMessage) => Promise<T>,
  ): Promise<T> {
    const { agent, options, headers } = await this.access();
    const text = body === undefined ? undefined : JSON.stringify(body);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const call = request(this.url(path, query), {
      ...options,
      agent,
      method,
      headers: {
        ...headers,
        ...more,
        Accept: 'application/json',
        ...(text === undefined ? {} : { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(text) }),
      },
    });
    call.setTimeout(this.#timeoutMs, () => call.destroy(this.#timeout()));
    call.once('error', (cause) => reject(this.failure(cause)));
    call.once('response', (response) => {
      read(response).then(resolve, (cause) => reject(this.failure(cause)));
    });
    call.end(text, onSent);
    return promise;
  }

  /** A connection that could not be made or broke, as one sentence. Errors that are already ours pass through. */
  failure(cause: unknown): CrashcartError {
    if (cause instanceof CrashcartError) return cause;
    const message =
      cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : String(cause);
    const hint = isCertificateError(cause)
      ? 'its certificate is not the one that the kubeconfig expects'
      : 'see whether "kubectl get --raw /readyz" reaches it';
    return new CrashcartError(
      reasons.Unavailable,
      `the API server ${this.#where()} cannot be reached (${message}): ${hint}`,
      {
        cause,
      },
    );
  }

  /** Connections that are kept for a next request would keep the process. */
  async close(): Promise<void> {
    (await this.#access?.catch(() => undefined))?.agent.destroy();
  }

  #where(): string {
    const { server, context } = this.connection;
    return context === '' ? server.origin : `${server.origin} (context "${context}")`;
  }

  #timeout(): CrashcartError {
    return new CrashcartError(
      reasons.Timeout,
      `the API server ${this.#where()} gave no answer in ${this.#timeoutMs / 1_000} s: try again, or wait longer with --request-timeout`,
    );
  }
}

const isCertificateError = (cause: unknown): boolean =>
  cause instanceof Error && /CERT|ALTNAME|SELF_SIGNED|UNABLE_TO_/.test(String((cause as NodeJS.ErrnoException).code));

export interface BytesAnswer {
  readonly bytes: Buffer;
  readonly headers: IncomingMessage['headers'];
}

const isGood = ({ statusCode = 0 }: IncomingMessage): boolean => statusCode >= 200 && statusCode <= 299;

async function readAnswer(response: IncomingMessage): Promise<unknown> {
  const body = await readBody(response, answerBytes);
  if (!isGood(response)) throw new ApiRefusal(body, response.statusCode ?? 0);
  return JSON.parse(body) as unknown;
}

async function readBytes(response: IncomingMessage, limit: number): Promise<BytesAnswer> {
  const bytes = await readAll(response, limit);
  if (!isGood(response)) throw new ApiRefusal(bytes.toString('utf8'), response.statusCode ?? 0);
  return { bytes, headers: response.headers };
}

/** At most `limit` bytes; more is an error. */
export const readBody = async (response: IncomingMessage, limit: number): Promise<string> =>
  (await readAll(response, limit)).toString('utf8');

function readAll(response: IncomingMessage, limit: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let size = 0;
  response.on('data', (chunk: Buffer) => {
    size += chunk.length;
    chunks.push(chunk);
    if (size > limit) response.destroy(new Error(`the answer is longer than ${limit} bytes`));
  });
  response.once('end', () => resolve(Buffer.concat(chunks)));
  response.once('error', reject);
  response.once('close', () => reject(new Error('the answer was cut off')));
  return promise;
}
