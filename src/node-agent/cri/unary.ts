/**
 * gRPC as far as runtimes are asked anything here: one question, one answer, over a Unix socket. HTTP/2 is Node's own, which the tunnels have loaded already; the
 * usual library would be a fifth of an idle agent's memory, for resolvers, balancers and streams that no call here has.
 */
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import protobuf from 'protobufjs/light.js';

/** A service's messages and methods in protobuf.js' JSON form. */
export type Descriptor = Parameters<typeof protobuf.Root.fromJSON>[0];

/** Those of gRPC's codes that somebody here looks at. */
export const grpcCodes = {
  deadlineExceeded: 4,
  notFound: 5,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;

/** The daemon's own refusal, or one of `grpcCodes` for what happened on the way. */
export class GrpcError extends Error {
  readonly code: number;

  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'GrpcError';
    this.code = code;
  }
}

export interface UnaryOptions {
  readonly socketPath: string;
  readonly descriptor: Descriptor;
  readonly deadlineMs: number;
  readonly maxMessageBytes: number;
}

export interface UnaryClient extends Disposable {
  /** `service` with its package. Only for calls that may be repeated: one whose connection ends before its answer is asked again, once. Rejects with a GrpcError. */
  call<T>(service: string, method: string, request: object, metadata?: Readonly<Record<string, string>>): Promise<T>;
}

/** Connects at the first call, and again after every loss. */
export function openUnaryClient({ socketPath, descriptor, deadlineMs, maxMessageBytes }: UnaryOptions): UnaryClient {
  const root = protobuf.Root.fromJSON(descriptor);
  let session: ClientHttp2Session | undefined;
  const connected = (): { session: ClientHttp2Session; fresh: boolean } => {
    if (session && !session.closed && !session.destroyed) return { session, fresh: false };
    session = connect('http://localhost', { createConnection: () => connectSocket(socketPath) });
    session.on('error', () => {}); // each call hears of it by its own stream
    return { session, fresh: true };
  };
  return {
    call: async (service, name, request, metadata = {}) => {
      const method = root.lookupService(service).methods[name];
      method?.resolve();
      const { resolvedRequestType: asks, resolvedResponseType: answers } = method ?? {};
      if (!asks || !answers) throw new GrpcError(grpcCodes.internal, `${service} has no method ${name}`);
      const exchange: Exchange = {
        headers: {
          ':method': 'POST',
          ':path': `/${service}/${name}`,
          'content-type': 'application/grpc',
          te: 'trailers',
          ...metadata,
        },
        body: frame(asks.encode(asks.fromObject(request)).finish()),
        deadline: performance.now() + deadlineMs,
        maxMessageBytes,
      };
      const first = connected();
      const message = await ask(first.session, exchange).catch((error: unknown) => {
        if (first.fresh || !(error instanceof Unanswered)) throw error;
        return ask(connected().session, exchange);
      });
      return answers.toObject(decode(answers, message), { enums: String, longs: String, defaults: true }) as never;
    },
    [Symbol.dispose]: () => session?.destroy(),
  };
}

interface Exchange {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** By performance.now(). */
  readonly deadline: number;
  readonly maxMessageBytes: number;
}

/** The connection ended, or never was, and not a word had come. */
class Unanswered extends GrpcError {
  constructor(why: string, options?: ErrorOptions) {
    super(grpcCodes.unavailable, why, options);
  }
}

async function ask(
  session: ClientHttp2Session,
  { headers, body, deadline, maxMessageBytes }: Exchange,
): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const remainingMs = Math.max(1, Math.ceil(deadline - performance.now()));
  let answer: ReturnType<ClientHttp2Session['request']>;
  try {
    answer = session.request({ ...headers, 'grpc-timeout': `${remainingMs}m` });
  } catch (cause) {
    throw new Unanswered('the connection is ending', { cause });
  }
  const giveUp = (code: number, why: string): void => {
    reject(new GrpcError(code, why));
    answer.close(constants.NGHTTP2_CANCEL);
  };
  const timer = setTimeout(() => giveUp(grpcCodes.deadlineExceeded, 'no answer in time'), remainingMs);
  let head: IncomingHttpHeaders | undefined;
  let end: IncomingHttpHeaders | undefined;
  let failure: Error | undefined;
  let size = 0;
  const chunks: Buffer[] = [];
  answer.on('response', (received) => {
    head = received;
  });
  answer.on('trailers', (received) => {
    end = received;
  });
  answer.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > maxMessageBytes + prefixBytes)
      giveUp(grpcCodes.resourceExhausted, `the answer is larger than ${maxMessageBytes} bytes`);
    else chunks.push(chunk);
  });
  answer.on('error', (error) => {
    failure = error;
  });
  answer.on('close', () => {
    clearTimeout(timer);
    try {
      if (head === undefined) throw new Unanswered(failure?.message ?? 'the connection ended', { cause: failure });
      requireOk({ ...head, ...end });
      resolve(unframe(Buffer.concat(chunks)));
    } catch (error) {
      reject(error);
    }
  });
  answer.end(body);
  return promise;
}

/** Whoever refuses at once says so in the head: then there is no other end. */
function requireOk({ ':status': http, 'grpc-status': status, 'grpc-message': message }: IncomingHttpHeaders): void {
  if (status === '0') return;
  if (status === undefined) {
    throw new GrpcError(grpcCodes.unavailable, Number(http) === 200 ? 'the answer was cut off' : `HTTP ${http}`);
  }
  throw new GrpcError(Number(status), unescapePercent(String(message ?? `gRPC status ${status}`)));
}

function unescapePercent(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** One byte: compressed or not. Four: the length of what follows. */
const prefixBytes = 5;

function frame(message: Uint8Array): Uint8Array {
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function unframe(body: Buffer): Uint8Array {
  // Nothing was offered to be compressed with.
  if (body.length < prefixBytes || body[0] !== 0 || body.readUInt32BE(1) !== body.length - prefixBytes)
    throw new GrpcError(grpcCodes.internal, 'the answer is not one gRPC message');
  return body.subarray(prefixBytes);
}

function decode(type: protobuf.Type, message: Uint8Array): protobuf.Message {
  try {
    return type.decode(message);
  } catch (cause) {
    throw new GrpcError(grpcCodes.internal, `the answer is no ${type.name}`, { cause });
  }
}
