import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { CrashcartError, describe, reasons } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { AttachServer } from './attach.ts';
import { createDiscovery, type Discovery } from './discovery.ts';
import { Doorway } from './doorway.ts';
import { identify, isFrontProxy, type RequestHeaderConfig } from './identity.ts';
import type { UserInfo } from './kubernetes.ts';
import type { RecordingServer } from './recordings/serve.ts';
import { refuseRequest, refuseUpgrade } from './refuse.ts';
import type { FrontDoor } from './tickets/front-door.ts';
import type { ServingCertificate } from './tunnel-listener.ts';

export interface GatewayServerOptions {
  readonly attach: Pick<AttachServer, 'upgrade' | 'close'>;
  /** Left out: no recordings are served. */
  readonly recordings?: Pick<RecordingServer, 'handles' | 'answer'>;
  /** Left out: there is no other way in than the API server's aggregation layer. */
  readonly frontDoor?: FrontDoor;
  readonly log: Logger;
  /** Left out: nothing is accepted until `setCertificate`. */
  readonly certificate?: ServingCertificate;
  /** Left out: discovery answers, everything else is refused until `setRequestHeader`. */
  readonly requestHeader?: RequestHeaderConfig;
  /** How many connections that are not the front proxy's there may be, and how long each may last. Default 256, 10 s. */
  readonly strangers?: { readonly places: number; readonly withinMs: number };
  /** For /readyz. Readiness must not depend on agents, CRDs or the leader: discovery answers without them. */
  readonly ready?: () => boolean;
}

/** Go's default, and so the API server's: users with hundreds of groups have long headers. */
const maxHeaderBytes = 1024 * 1024;
/** Node's own limit for the number of headers would silently drop a user's groups beyond it. */
const maxHeadersCount = 0;

/** Go's client drops an idle connection after 90 s: whoever drops it first must not be us, or a request meets a closing socket. */
const idleMs = 120_000;
/** A stranger may not hold a connection for longer without saying anything. */
const headersMs = 10_000;

/** The API port: what kube-apiserver's aggregation layer talks to. */
export class GatewayServer {
  readonly #options: GatewayServerOptions;
  readonly #server: https.Server;
  readonly #discover: Discovery = createDiscovery();
  readonly #doorway: Doorway;
  #certificate: ServingCertificate | undefined;
  #requestHeader: RequestHeaderConfig | undefined;

  constructor(options: GatewayServerOptions) {
    this.#options = options;
    this.#certificate = options.certificate;
    this.#requestHeader = options.requestHeader;
    if (options.certificate) options.frontDoor?.setCertificate(options.certificate);
    this.#server = https.createServer({
      ...this.#context(),
      requestCert: true,
      // Probes of the kubelet come without a certificate: each path decides for itself.
      rejectUnauthorized: false,
      maxHeaderSize: maxHeaderBytes,
      noDelay: true,
      handshakeTimeout: headersMs,
    });
    this.#server.maxHeadersCount = maxHeadersCount;
    this.#server.keepAliveTimeout = idleMs;
    this.#server.headersTimeout = headersMs;
    // Each may send a megabyte of headers: without a bound, a pod of anybody's could fill our memory.
    this.#doorway = new Doorway(options.strangers ?? { places: 256, withinMs: headersMs });
    this.#server.on('connection', (socket) => this.#doorway.enter(socket as Socket));
    this.#server.on('secureConnection', (socket) => {
      if (this.#requestHeader && isFrontProxy(socket, this.#requestHeader)) this.#doorway.passed(socket);
    });
    this.#server.on('request', (request, response) => this.#answer(request, response));
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#server.on('tlsClientError', (error) => options.log.debug('TLS handshake failed', { error: describe(error) }));
  }

  setCertificate(certificate: ServingCertificate): void {
    this.#certificate = certificate;
    this.#server.setSecureContext(this.#context());
    this.#options.frontDoor?.setCertificate(certificate);
  }

  setRequestHeader(config: RequestHeaderConfig): void {
    this.#requestHeader = config;
    this.#server.setSecureContext(this.#context());
  }

  get ready(): boolean {
    const { ready = () => true } = this.#options;
    return this.#certificate !== undefined && this.#requestHeader !== undefined && ready();
  }

  async listen(port: number, host?: string): Promise<AddressInfo> {
    this.#server.listen({ port, ...(host === undefined ? {} : { host }) });
    await once(this.#server, 'listening');
    return this.#server.address() as AddressInfo;
  }

  close(): void {
    this.#options.attach.close();
    this.#options.frontDoor?.close();
    this.#server.close();
    this.#server.closeIdleConnections();
  }

  /** `ca` is always set: left out, Node would trust every public CA of the world to be the front proxy. */
  #context(): { readonly ca: string[]; readonly key?: string; readonly cert?: string } {
    return { ca: this.#requestHeader ? [this.#requestHeader.clientCa] : [], ...this.#certificate };
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const [path = '/'] = (request.url ?? '/').split('?', 1);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      this.#refuse(request, response);
      return;
    }
    const discovery = this.#discover(path, request.headers);
    if (discovery) {
      response.writeHead(discovery.code, discovery.headers).end(discovery.body);
    } else if (path === '/healthz' || path === '/livez') {
      response.writeHead(200, { 'content-type': 'text/plain' }).end('ok');
    } else if (path === '/readyz') {
      const { ready } = this;
      response.writeHead(ready ? 200 : 503, { 'content-type': 'text/plain' }).end(ready ? 'ok' : 'not ready');
    } else if (path === '/openapi/v2' || path === '/openapi/v3') {
      // 404 tells the aggregator that there is none; anything else makes it come back for an hour.
      refuseRequest(response, new CrashcartError(reasons.NotFound, 'this API has no OpenAPI document'));
    } else if (this.#options.recordings?.handles(path)) {
      this.#record(this.#options.recordings, request, response);
    } else {
      this.#refuse(request, response);
    }
  }

  #record(recordings: Pick<RecordingServer, 'answer'>, request: IncomingMessage, response: ServerResponse): void {
    try {
      void recordings.answer(request, response, this.#user(request));
    } catch (caught) {
      refuseRequest(response, CrashcartError.from(caught));
    }
  }

  /** Nothing but upgrades and recordings is served beyond discovery; who is not the front proxy does not even learn that. */
  #refuse(request: IncomingMessage, response: ServerResponse): void {
    try {
      this.#user(request);
      const upgrade = 'this path takes a WebSocket upgrade only: use kubectl crashcart attach';
      const isAttach = /\/attach\/?$/.test((request.url ?? '').split('?', 1)[0] ?? '');
      refuseRequest(
        response,
        isAttach
          ? new CrashcartError(reasons.Invalid, upgrade)
          : new CrashcartError(reasons.NotFound, 'there is nothing at this path'),
      );
    } catch (caught) {
      refuseRequest(response, CrashcartError.from(caught));
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Before anything else: a reset by the client during the checks would end the process otherwise.
    socket.on('error', () => socket.destroy());
    const { frontDoor } = this.#options;
    try {
      if (frontDoor?.handles(request)) {
        frontDoor.enter(request, socket, head, () => this.#doorway.passed(request.socket));
        return;
      }
      const user = this.#user(request);
      void this.#options.attach.upgrade({ request, socket, head, user });
    } catch (caught) {
      refuseUpgrade(socket, CrashcartError.from(caught));
    }
  }

  #user(request: IncomingMessage): UserInfo {
    const config = this.#requestHeader;
    if (!config)
      throw new CrashcartError(reasons.Unavailable, 'this replica has not yet read whom to trust: try again');
    if (!isFrontProxy(request.socket as TLSSocket, config)) {
      throw new CrashcartError(reasons.Unauthorized, 'only the API server may ask here: use kubectl');
    }
    return identify(request.rawHeaders, config);
  }
}
