import { once } from 'node:events';
import type { ClientHttp2Session } from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import tls, { type TLSSocket } from 'node:tls';
import { tokenAudience } from '../api/names.ts';
import { CrashcartError, describe, reasons } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { paths } from '../wire/agent-protocol.ts';
import type { KeepAliveOptions } from '../wire/keep-alive.ts';
import { parseIdentity } from '../wire/observed-session.ts';
import { connectTunnel, tunnelAlpn } from '../wire/tunnel.ts';
import { nodeOfReview } from './agent-identity.ts';
import { type AgentDescription, TunnelLink } from './agent-link.ts';
import type { AgentRegistry } from './agents.ts';
import { Doorway } from './doorway.ts';
import type { Reviews } from './kubernetes.ts';
import type { GatewayMetrics } from './metrics.ts';
import { requestJson } from './tunnel-request.ts';

/** PEM. */
export interface ServingCertificate {
  readonly key: string;
  readonly cert: string;
}

export interface TunnelListenerOptions {
  readonly registry: AgentRegistry;
  /** Of the installation: whose agents these are. */
  readonly namespace: string;
  readonly reviews: Pick<Reviews, 'reviewToken'>;
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
  /** Left out: nothing is accepted until `setCertificate`. */
  readonly certificate?: ServingCertificate;
  readonly keepAlive?: KeepAliveOptions;
  /** For a connection to prove that it is an agent's. Default 10 s. */
  readonly authenticateMs?: number;
  /** How many connections may be about to. Default 256. */
  readonly maxUnauthenticated?: number;
  /** The pod or the node behind a token may be gone since. Default 10 minutes. */
  readonly reviewEveryMs?: number;
}

/** A bare connection that waits is a few kilobytes: this is all the agents of a large cluster. */
const maxWaiting = 8_192;
/** The kernel's own queue, which it bounds once more by net.core.somaxconn. */
const backlog = 4_096;

/** The tunnel port: TLS and HTTP/2, dialled by the agents, who serve on it (decision D1). */
export class TunnelListener {
  readonly #options: Required<Omit<TunnelListenerOptions, 'certificate' | 'keepAlive'>> & TunnelListenerOptions;
  /** Accepts; the other one, which never listens, is handed the connections that may speak. */
  readonly #front: net.Server;
  readonly #server: tls.Server;
  readonly #sessions = new Set<ClientHttp2Session>();

  constructor(options: TunnelListenerOptions) {
    this.#options = { authenticateMs: 10_000, maxUnauthenticated: 256, reviewEveryMs: 600_000, ...options };
    const { authenticateMs, maxUnauthenticated, metrics, log } = this.#options;
    const doorway = new Doorway({ places: maxUnauthenticated, withinMs: authenticateMs, line: maxWaiting });
    this.#server = tls.createServer({ ...options.certificate, ALPNProtocols: tunnelAlpn });
    // Nothing is read of a connection before it has its place.
    this.#front = net.createServer({ noDelay: true, pauseOnConnect: true }, (socket) => {
      socket.on('error', () => socket.destroy());
      if (!doorway.enter(socket, () => this.#server.emit('connection', socket))) {
        metrics.tunnelRefused(reasons.Unavailable);
      }
    });
    this.#server.on('tlsClientError', (error, socket) => {
      log.debug('tunnel handshake failed', { error: describe(error), from: socket.remoteAddress });
    });
    this.#server.on('secureConnection', (socket) => {
      void this.#welcome(socket, () => doorway.passed(socket));
    });
  }

  /** For connections from now on; what is connected stays. */
  setCertificate(certificate: ServingCertificate): void {
    this.#server.setSecureContext(certificate);
  }

  async listen(port: number, host?: string): Promise<AddressInfo> {
    this.#front.listen({ port, backlog, ...(host === undefined ? {} : { host }) });
    await once(this.#front, 'listening');
    return this.#front.address() as AddressInfo;
  }

  /** Ends all tunnels; the agents come back to another replica. */
  close(): void {
    this.#front.close();
    for (const session of this.#sessions) session.destroy();
  }

  async #welcome(socket: TLSSocket, passed: () => void): Promise<void> {
    const { log, metrics } = this.#options;
    const from = socket.remoteAddress;
    socket.on('error', (error) => log.debug('tunnel connection failed', { error: describe(error), from }));
    let session: ClientHttp2Session | undefined;
    try {
      session = this.#open(socket);
      const description = await this.#authenticate(session);
      passed();
      await this.#keep(session, description);
    } catch (caught) {
      metrics.tunnelRefused(CrashcartError.from(caught).reason);
      log.warn('refused a connection to the tunnel port', { error: describe(caught), from });
    } finally {
      session?.destroy();
      socket.destroy();
    }
  }

  #open(socket: TLSSocket): ClientHttp2Session {
    const session = connectTunnel(socket, this.#options.keepAlive);
    this.#sessions.add(session);
    session.on('error', (error) => this.#options.log.debug('tunnel failed', { error: describe(error) }));
    session.once('close', () => this.#sessions.delete(session));
    return session;
  }

  async #authenticate(session: ClientHttp2Session): Promise<AgentDescription> {
    const { authenticateMs, namespace, reviews } = this.#options;
    const request = { method: 'GET', path: paths.identity, timeoutMs: authenticateMs } as const;
    const { token, instance, version } = parseIdentity(await requestJson(session, request));
    const node = nodeOfReview(await reviews.reviewToken(token, [tokenAudience]), namespace);
    return { node, instance, version };
  }

  /** Holds the tunnel in the registry until it ends. */
  async #keep(session: ClientHttp2Session, description: AgentDescription): Promise<void> {
    const { registry, metrics, reviewEveryMs } = this.#options;
    const log = this.#options.log.child({ node: description.node, instance: description.instance });
    const link = new TunnelLink(session, description);
    const again = setInterval(() => void this.#reviewAgain(session, description, log), reviewEveryMs);
    registry.add(link, () => session.destroy());
    metrics.tunnelOpened();
    log.info('agent connected', { version: description.version });
    try {
      await link.follow((event) => registry.event(link, event));
      log.info('agent disconnected');
    } catch (caught) {
      log.warn('agent disconnected', { error: describe(caught) });
    } finally {
      clearInterval(again);
      metrics.tunnelClosed();
      session.destroy();
      registry.remove(link);
    }
  }

  async #reviewAgain(session: ClientHttp2Session, description: AgentDescription, log: Logger): Promise<void> {
    try {
      const { node } = await this.#authenticate(session);
      if (node !== description.node)
        throw new CrashcartError(reasons.Unauthorized, `the agent now claims node ${node}`);
    } catch (caught) {
      // An API server that cannot be asked for a moment must not cut every shell of the cluster.
      const error = CrashcartError.from(caught);
      log.warn('could not review the agent again', { error: describe(error) });
      if (error.reason === reasons.Unauthorized) session.destroy();
    }
  }
}
