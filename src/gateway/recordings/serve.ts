import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { DebugSession } from '../../api/debug-session.ts';
import { plural, recordingSubresource, subresourceApiVersion, subresourceGroup, version } from '../../api/names.ts';
import { CrashcartError, describe, reasons } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { recordingLengthHeader } from '../../wire/agent-protocol.ts';
import { castMediaType } from '../../wire/asciicast.ts';
import { linkOf } from '../admit.ts';
import type { Agents } from '../agents.ts';
import { type AuthorizeDependencies, requireRight } from '../authorize.ts';
import type { ResourceAttributes, SessionCache, UserInfo } from '../kubernetes.ts';
import { refuseRequest } from '../refuse.ts';
import type { RecordingPart, RecordingStore } from './store.ts';

export interface RecordingServerOptions extends AuthorizeDependencies {
  readonly sessions: Pick<SessionCache, 'get'>;
  readonly agents: Agents;
  /** Left out: recordings stay on their nodes. */
  readonly store?: RecordingStore;
  readonly log: Logger;
}

const shape = new RegExp(
  `^/apis/${subresourceApiVersion.replaceAll('.', '\\.')}/namespaces/([^/]+)/${plural}/([^/]+)/${recordingSubresource}/?$`,
);
const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
/** What one request gets at most: the API server cuts a plain request after a minute. */
const mostBytes = 16 * 1024 * 1024;

/** To see what a session has shown is a right of its own: it may be more than the one who looks could see in the container. */
export const recordingAttributes = (namespace: string, name: string): ResourceAttributes => ({
  verb: 'get',
  group: subresourceGroup,
  version,
  resource: plural,
  subresource: recordingSubresource,
  namespace,
  name,
});

/** `GET …/debugsessions/NAME/recording?from=N&limit=M`: the file's bytes, from the node or the store. */
export class RecordingServer {
  readonly #options: RecordingServerOptions;

  constructor(options: RecordingServerOptions) {
    this.#options = options;
  }

  handles(path: string): boolean {
    return shape.test(path);
  }

  /** Never rejects: whatever goes wrong is the client's answer. */
  async answer(request: IncomingMessage, response: ServerResponse, user: UserInfo): Promise<void> {
    const [path = '', query = ''] = (request.url ?? '').split('?', 2);
    const [, namespace = '', name = ''] = shape.exec(path) ?? [];
    const log = this.#options.log.child({
      user: user.name,
      auditId: request.headers['audit-id'],
      session: `${namespace}/${name}`,
    });
    try {
      if (!label.test(namespace) || !subdomain.test(name)) throw nothingThere(namespace, name);
      await requireRight(user, recordingAttributes(namespace, name), this.#options);
      const part = await this.#find(namespace, name, new URLSearchParams(query), response);
      log.info('recording read', { length: part.length });
      response.writeHead(200, { 'content-type': castMediaType, [recordingLengthHeader]: `${part.length}` });
      if (part.bytes === undefined || request.method === 'HEAD') {
        part.bytes?.destroy();
        response.end();
        return;
      }
      await pipeline(part.bytes, response);
    } catch (caught) {
      const error = CrashcartError.from(caught);
      log.info('recording refused', { reason: error.reason, error: describe(error) });
      // Half an answer must not look like a whole one.
      if (response.headersSent) response.destroy();
      else refuseRequest(response, error);
    }
  }

  async #find(
    namespace: string,
    name: string,
    query: URLSearchParams,
    response: ServerResponse,
  ): Promise<RecordingPart> {
    const { sessions, store, agents } = this.#options;
    const session = sessions.get(namespace, name);
    if (session === undefined) throw nothingThere(namespace, name);
    const { from, limit } = rangeOf(query);
    const stored = store?.keyOf(session.status?.recording?.location ?? '');
    if (store && stored !== undefined) return store.read(stored, from, limit);
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const link = await linkOf(nodeOf(session), agents, gone.signal);
    return link.recording(session.metadata.uid, { from, limit, signal: gone.signal });
  }
}

function nodeOf({ metadata, status }: DebugSession): string {
  const location = status?.recording?.location;
  if (status?.nodeName !== undefined && (location === undefined || location.startsWith('node:')))
    return status.nodeName;
  throw new CrashcartError(
    reasons.NotFound,
    `the recording of ${metadata.name} is at ${location ?? 'no place that is known'}, which this installation does not reach`,
  );
}

function rangeOf(query: URLSearchParams): { readonly from: number; readonly limit: number } {
  const number = (key: string, otherwise: number): number => {
    const text = query.get(key) ?? `${otherwise}`;
    if (/^\d{1,15}$/.test(text)) return Number(text);
    throw new CrashcartError(reasons.Invalid, `${key} must be a number of bytes`);
  };
  return { from: number('from', 0), limit: Math.min(Math.max(1, number('limit', mostBytes)), mostBytes) };
}

const nothingThere = (namespace: string, name: string): CrashcartError =>
  new CrashcartError(
    reasons.NotFound,
    `there is no DebugSession ${name} in namespace ${namespace}: kubectl crashcart ls -n ${namespace} shows those that there are`,
  );
