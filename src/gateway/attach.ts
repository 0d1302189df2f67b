import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { ClientHttp2Stream } from 'node:http2';
import { performance } from 'node:perf_hooks';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { type DebugSession, isTerminal } from '../api/debug-session.ts';
import { Backoff } from '../base/backoff.ts';
import { CrashcartError, describe, reasons } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { auditIdHeader, recordedHeader, userHeader } from '../wire/agent-protocol.ts';
import { protocols } from '../wire/channel.ts';
import type { KeepAliveOptions } from '../wire/keep-alive.ts';
import { resumeQuery } from '../wire/resume.ts';
import { type AdmitDependencies, admit, admitAgain, endedError, linkOf, modeOf } from './admit.ts';
import { cacheAllowed } from './allow-cache.ts';
import { type AttachTarget, parseAttachUrl } from './attach-request.ts';
import { type AttachMode, isOwn } from './authorize.ts';
import { bridge } from './bridge.ts';
import type { UserInfo } from './kubernetes.ts';
import type { GatewayMetrics } from './metrics.ts';
import { refuseUpgrade } from './refuse.ts';

export interface AttachDependencies extends AdmitDependencies {
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
  readonly keepAlive?: KeepAliveOptions;
  /** How often the rights of an attached user are reviewed again. Default 5 minutes. */
  readonly reviewEveryMs?: number;
}

/** One request, once the front proxy has named its user. */
export interface AttachUpgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly user: UserInfo;
}

/** A user's paste comes in messages of a few KiB; client-go sends 32. */
const maxMessageBytes = 1024 * 1024;
/** The status write may be seen here before the agent has got the session: it comes within a round trip. */
const unknownSessionMs = 3_000;
const unknownSessionBackoffMs = { initialMs: 5, maxMs: 50 } as const;
/** ws cuts a connection whose other end does not close back; by then the output was flushed. */
const closeTimeoutMs = 30_000;
/** Reviews that could not be made, in a row, before a shell is cut: an error never allows for ever. */
const maxReviewErrors = 3;

/** The attach endpoint: check, dial the agent, and only then 101. */
export class AttachServer {
  readonly #deps: AttachDependencies;
  /** A yes of the last seconds counts for those who come; those who are there are asked about anew. */
  readonly #admission: AdmitDependencies;
  readonly #sockets: WebSocketServer;
  /** Attaches to sessions that are recorded, until their answer is written. */
  readonly #recorded = new WeakSet<IncomingMessage>();

  constructor(deps: AttachDependencies) {
    this.#deps = deps;
    this.#admission = { ...deps, reviews: cacheAllowed(deps.reviews) };
    const options = {
      noServer: true,
      perMessageDeflate: false,
      maxPayload: maxMessageBytes,
      closeTimeout: closeTimeoutMs,
      handleProtocols: (offered: Set<string>) => protocols.find((protocol) => offered.has(protocol)) ?? false,
    } as const;
    this.#sockets = new WebSocketServer(options);
    this.#sockets.on('headers', (headers, request) => {
      if (this.#recorded.has(request)) headers.push(`${recordedHeader}: Full`);
    });
  }

  /** Never rejects: whatever goes wrong is the client's answer. */
  async upgrade(upgrade: AttachUpgrade): Promise<void> {
    const { request, socket, head, user } = upgrade;
    const { log: parent, metrics } = this.#deps;
    const startedAt = performance.now();
    const auditId = textHeader(request, 'audit-id');
    let log = parent.child({ user: user.name, auditId });
    const gone = new AbortController();
    const abandon = (): void => gone.abort();
    socket.once('close', abandon);
    try {
      const target = parseAttachUrl(request.url ?? '');
      requireProtocol(request);
      log = log.child({ session: `${target.namespace}/${target.name}` });
      const session = await admit(user, target, this.#admission);
      const onHead = (headers: IncomingHttpHeaders): void => {
        if (headers[recordedHeader] !== undefined) this.#recorded.add(request);
      };
      const stream = await this.#dial(session, target, { user, auditId, signal: gone.signal, onHead });
      socket.off('close', abandon);
      if (socket.destroyed) {
        stream.destroy();
        return;
      }
      metrics.attachReady((performance.now() - startedAt) / 1_000);
      const returns = target.resume !== undefined;
      this.#sockets.handleUpgrade(
        request,
        socket,
        head,
        (client) => void this.#run(client, stream, { user, session, mode: modeOf(target), returns, log }),
      );
    } catch (caught) {
      const error = CrashcartError.from(caught);
      metrics.attachRefused(error.reason);
      log.info('attach refused', { reason: error.reason, error: describe(error) });
      refuseUpgrade(socket, error);
    }
  }

  /** Ends every attached client with a code that says "come back": the sessions go on. */
  close(): void {
    for (const client of this.#sockets.clients) client.close(1012, 'this replica is going away: attach again');
    this.#sockets.close();
  }

  async #dial(session: DebugSession, target: AttachTarget, by: Attacher): Promise<ClientHttp2Stream> {
    const node = session.status?.nodeName;
    if (node === undefined) throw endedError(session);
    const { stdin, stdout, stderr } = target;
    const tty = target.tty && session.spec.tty;
    const query = new URLSearchParams({
      stdin: `${stdin}`,
      stdout: `${stdout}`,
      stderr: `${stderr}`,
      tty: `${tty}`,
      observe: `${modeOf(target) === 'observe'}`,
      ...(target.resume ? resumeQuery(target.resume) : {}),
    });
    const headers = {
      // Header values of HTTP/2 are bytes: a name beyond ASCII is percent-encoded.
      [userHeader]: encodeURIComponent(by.user.name),
      ...(by.auditId === undefined ? {} : { [auditIdHeader]: by.auditId }),
    };
    const backoff = new Backoff(unknownSessionBackoffMs);
    for (const giveUpAt = performance.now() + unknownSessionMs; ; await backoff.wait(by.signal)) {
      try {
        const link = await linkOf(node, this.#deps.agents, by.signal);
        return await link.attach(session.metadata.uid, query, headers, by.signal, by.onHead);
      } catch (caught) {
        if (CrashcartError.from(caught).reason !== reasons.NotFound || by.signal.aborted) throw caught;
        this.#refuseForgotten(session, performance.now() >= giveUpAt);
      }
    }
  }

  /** The agent does not know the session: it is over and forgotten, or it was not yet told of it. */
  #refuseForgotten(session: DebugSession, waitedLong: boolean): void {
    const { namespace, name } = session.metadata;
    const now = this.#deps.sessions.get(namespace, name);
    if (now === undefined) throw new CrashcartError(reasons.Deleted, `the DebugSession ${name} was deleted`);
    if (isTerminal(now.status?.phase)) throw endedError(now);
    if (!waitedLong) return;
    throw new CrashcartError(
      reasons.AgentRestarted,
      `the agent of node ${session.status?.nodeName} does not know the session ${name}; it has probably restarted: start another session`,
    );
  }

  async #run(client: WebSocket, stream: ClientHttp2Stream, attached: Attached): Promise<void> {
    const { metrics, keepAlive } = this.#deps;
    const startedAt = performance.now();
    const { log, user, session, mode } = attached;
    metrics.attachStarted();
    log.info('attached', { protocol: client.protocol, mode });
    if (!isOwn(session, user)) this.#deps.onForeign?.(session, user, { mode });
    const { signal, stop } = this.#reviewAgain(attached);
    try {
      const end = await bridge(client, stream, {
        metrics,
        signal,
        observe: mode === 'observe',
        returns: attached.returns,
        ...(keepAlive === undefined ? {} : { keepAlive }),
      });
      log.info('attach ended', { how: end.type, ...(end.type === 'broken' ? { error: describe(end.error) } : {}) });
    } finally {
      stop();
      metrics.attachEnded((performance.now() - startedAt) / 1_000);
    }
  }

  /** Rights may be withdrawn while a shell is open: `signal` aborts then, with the refusal as its reason. */
  #reviewAgain({ user, session, mode, log }: Attached): { readonly signal: AbortSignal; readonly stop: () => void } {
    const controller = new AbortController();
    let errors = 0;
    const review = async (): Promise<void> => {
      try {
        await admitAgain(user, session, mode, this.#deps);
        errors = 0;
      } catch (caught) {
        errors += 1;
        const { reason } = CrashcartError.from(caught);
        log.warn('rights not confirmed while attached', { reason, error: describe(caught) });
        if (reason === reasons.Forbidden || errors >= maxReviewErrors) controller.abort(caught);
      }
    };
    const timer = setInterval(() => void review(), this.#deps.reviewEveryMs ?? 5 * 60_000);
    return { signal: controller.signal, stop: () => clearInterval(timer) };
  }
}

interface Attacher {
  readonly user: UserInfo;
  readonly auditId: string | undefined;
  readonly signal: AbortSignal;
  /** Is given the head of the agent's answer. */
  readonly onHead: (headers: IncomingHttpHeaders) => void;
}

interface Attached {
  readonly user: UserInfo;
  readonly session: DebugSession;
  readonly mode: AttachMode;
  /** It can come back for what it has not got. */
  readonly returns: boolean;
  readonly log: Logger;
}

function requireProtocol(request: IncomingMessage): void {
  const offered = (textHeader(request, 'sec-websocket-protocol') ?? '').split(',').map((name) => name.trim());
  if (protocols.some((protocol) => offered.includes(protocol))) return;
  throw new CrashcartError(
    reasons.Invalid,
    `a WebSocket with one of the protocols ${protocols.join(', ')} is needed here`,
  );
}

function textHeader(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' ? value : undefined;
}
