import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { CrashcartError, describe, isReason, reasons } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { auditIdHeader, type Identity, limits, paths, userHeader } from '../../wire/agent-protocol.ts';
import { isSessionUid, parseDesiredSession } from '../../wire/desired-session.ts';
import { readJson } from '../../wire/json-body.ts';
import { refusalOf } from '../../wire/refusal.ts';
import { httpCodeOf } from '../../wire/status.ts';
import type { Recordings } from '../recording/recordings.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { parseAttachQuery, serveAttach } from './attach.ts';
import { serveEvents } from './events.ts';
import { isRecordingPath, serveRecording } from './recordings.ts';

export interface ResourcesOptions {
  readonly sessions: Sessions;
  readonly recordings?: Recordings;
  /** Read anew for each request: the token is renewed under us. */
  readonly identity: () => Promise<Identity>;
  readonly log: Logger;
}

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
}

/** For a request's body; its sender is a gateway in the same cluster. */
const bodyTimeoutMs = 10_000;
const maxHeaderLength = 1024;
const sessionPath = new RegExp(`^${paths.sessions}/([^/]+)(/attach)?$`);

/** Answers one request of a gateway: the documented ones, and a refusal to everything else. Never rejects. */
export async function serveRequest(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  options: ResourcesOptions,
): Promise<void> {
  // A reset by the gateway is told by 'close'; unheard, it would end the process.
  stream.on('error', (error) => options.log.debug('tunnel stream failed', { error: describe(error) }));
  try {
    await route(stream, parseRequest(headers), options);
  } catch (caught) {
    const error = CrashcartError.from(caught);
    options.log.info('refused a request of the gateway', { path: headers[':path'], error: describe(error) });
    answer(stream, httpCodeOf(error.reason), refusalOf(error));
  }
}

function parseRequest(headers: IncomingHttpHeaders): Request {
  const url = URL.parse(headers[':path'] ?? '', 'https://agent.invalid');
  if (!url) throw new CrashcartError(reasons.Invalid, 'the path is none');
  return { method: headers[':method'] ?? '', path: url.pathname, query: url.searchParams, headers };
}

async function route(stream: ServerHttp2Stream, request: Request, options: ResourcesOptions): Promise<void> {
  const { method, path } = request;
  if (method === 'GET' && path === paths.identity) return answer(stream, 200, await options.identity());
  if (method === 'GET' && path === paths.sessions) return serveEvents(stream, options.sessions);
  if (isRecordingPath(path)) {
    return serveRecording(stream, request, {
      recordings: options.recordings,
      answer: (body) => answer(stream, 200, body),
    });
  }
  const [, uid, attach] = sessionPath.exec(path) ?? [];
  if (uid === undefined || !isSessionUid(uid)) throw unknown(request);
  const audit = textHeader(request, auditIdHeader);
  const context = audit === undefined ? {} : { auditId: audit };
  switch (`${method}${attach ?? ''}`) {
    case 'PUT':
      return put(stream, uid, context, options.sessions);
    case 'DELETE':
      return answer(stream, 200, await options.sessions.remove(uid, reasonOf(request)));
    case 'POST/attach': {
      const user = textHeader(request, userHeader);
      const who = user === undefined ? {} : { user: decoded(user) };
      return serveAttach(stream, options.sessions, uid, { ...parseAttachQuery(request.query), ...who, ...context });
    }
    default:
      throw unknown(request);
  }
}

async function put(
  stream: ServerHttp2Stream,
  uid: string,
  context: { readonly auditId?: string },
  sessions: Sessions,
): Promise<void> {
  const timer = setTimeout(() => stream.destroy(), bodyTimeoutMs);
  let body: unknown;
  try {
    body = await readJson(stream, limits.bodyBytes);
  } finally {
    clearTimeout(timer);
  }
  const desired = parseDesiredSession(body);
  if (desired.uid !== uid) throw new CrashcartError(reasons.Invalid, 'the path and the body name different sessions');
  answer(stream, 200, sessions.put(desired, context));
}

function answer(stream: ServerHttp2Stream, code: number, body: unknown): void {
  if (stream.destroyed || stream.headersSent) return;
  stream.respond({ ':status': code, 'content-type': 'application/json' });
  stream.end(JSON.stringify(body));
}

function reasonOf({ query }: Request): keyof typeof reasons {
  const reason = query.get('reason') ?? reasons.Deleted;
  if (isReason(reason)) return reason;
  throw new CrashcartError(reasons.Invalid, 'reason must be one of those that a session ends for');
}

function textHeader({ headers }: Request, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value.slice(0, maxHeaderLength) : undefined;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const unknown = ({ method, path }: Request): CrashcartError =>
  new CrashcartError(reasons.Invalid, `the agent has no ${method.slice(0, 16)} ${path.slice(0, 128)}`);
