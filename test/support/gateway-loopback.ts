/** A gateway and an agent over real TLS on loopback; Kubernetes and the node are in-memory doubles. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import type { DebugSession } from '../../src/api/debug-session.ts';
import { attachPath } from '../../src/api/names.ts';
import { silentLogger } from '../../src/base/log.ts';
import { AgentRegistry } from '../../src/gateway/agents.ts';
import { AttachServer } from '../../src/gateway/attach.ts';
import type { RequestHeaderConfig } from '../../src/gateway/identity.ts';
import type {
  ResourceAttributes,
  Reviews,
  SessionCache,
  Tickets,
  TokenReviewStatus,
  UserInfo,
  Verdict,
} from '../../src/gateway/kubernetes.ts';
import { noMetrics } from '../../src/gateway/metrics.ts';
import { Placements } from '../../src/gateway/placements.ts';
import { RecordingServer } from '../../src/gateway/recordings/serve.ts';
import type { RecordingStore } from '../../src/gateway/recordings/store.ts';
import { GatewayServer, type GatewayServerOptions } from '../../src/gateway/server.ts';
import { FrontDoor } from '../../src/gateway/tickets/front-door.ts';
import { TunnelListener, type TunnelListenerOptions } from '../../src/gateway/tunnel-listener.ts';
import type { Recordings } from '../../src/node-agent/recording/recordings.ts';
import { runTunnels } from '../../src/node-agent/tunnel/tunnels.ts';
import { encodeMessage } from '../../src/wire/channel.ts';
import type { KeepAliveOptions } from '../../src/wire/keep-alive.ts';
import { eventually } from './eventually.ts';
import { createTestCa, type Leaf, type TestCa } from './pki.ts';
import { SessionsDouble } from './session-double.ts';

export const tunnelName = 'crashcart-tunnel.crashcart-system.svc';

export class ReviewsDouble implements Reviews {
  readonly asked: { readonly user: UserInfo; readonly attributes: ResourceAttributes }[] = [];
  verdict: (user: UserInfo, attributes: ResourceAttributes) => Verdict | Promise<Verdict> = () => ({ allowed: true });
  token: (token: string) => TokenReviewStatus = (token) => agentReview(token);

  async reviewToken(token: string): Promise<TokenReviewStatus> {
    return this.token(token);
  }

  async authorize(user: UserInfo, attributes: ResourceAttributes): Promise<Verdict> {
    this.asked.push({ user, attributes });
    return this.verdict(user, attributes);
  }
}

/** What the API server says of the token of node `node`'s agent. */
export const agentReview = (node: string): TokenReviewStatus => ({
  authenticated: true,
  audiences: ['crashcart.dev'],
  user: {
    username: 'system:serviceaccount:crashcart-system:crashcart-agent',
    extra: { 'authentication.kubernetes.io/node-name': [node] },
  },
});

export class SessionCacheDouble implements SessionCache {
  live = true;
  readonly sessions = new Map<string, DebugSession>();

  set(session: DebugSession): void {
    this.sessions.set(`${session.metadata.namespace}/${session.metadata.name}`, session);
  }

  get(namespace: string, name: string): DebugSession | undefined {
    return this.sessions.get(`${namespace}/${name}`);
  }

  async waitFor(
    namespace: string,
    name: string,
    predicate: (session: DebugSession) => boolean,
    timeoutMs: number,
  ): Promise<DebugSession | undefined> {
    const holds = (): DebugSession => {
      const session = this.get(namespace, name);
      if (session && predicate(session)) return session;
      throw new Error('not yet');
    };
    return eventually(holds, Math.min(timeoutMs, 300), 5).catch(() => undefined);
  }
}

export function debugSession(name: string, status: DebugSession['status'] = {}): DebugSession {
  return {
    apiVersion: 'crashcart.dev/v1alpha1',
    kind: 'DebugSession',
    metadata: {
      name,
      namespace: 'shop',
      uid: `uid-${name}`,
      resourceVersion: '1',
      generation: 1,
      creationTimestamp: '2026-11-24T00:00:00Z',
    },
    spec: {
      target: { pod: { name: 'web-0' } },
      toolbox: 'default',
      profile: 'general',
      requestedBy: { username: 'alice', groups: [] },
      tty: true,
      stdin: true,
      visibility: 'Session',
      maxDuration: '1h',
      idleTimeout: '30m',
      detachGrace: '1h',
      ttlAfterFinished: '1h',
    },
    status,
  };
}

export const requestHeader = (clientCa: string): RequestHeaderConfig => ({
  clientCa,
  allowedNames: ['front-proxy-client'],
  usernameHeaders: ['X-Remote-User'],
  uidHeaders: ['X-Remote-Uid'],
  groupHeaders: ['X-Remote-Group'],
  extraHeaderPrefixes: ['X-Remote-Extra-'],
});

export interface LoopbackOptions {
  readonly keepAlive?: KeepAliveOptions;
  readonly reviewEveryMs?: number;
  readonly tunnel?: Partial<TunnelListenerOptions>;
  readonly strangers?: GatewayServerOptions['strangers'];
  /** Of every agent that is started. */
  readonly recordings?: Recordings;
  readonly store?: RecordingStore;
  /** Given: there is a front door. */
  readonly tickets?: Tickets;
  /** Default true: an agent of node `node-1` is connected before `startLoopback` answers. */
  readonly agent?: boolean;
}

export interface ConnectOptions {
  readonly protocols?: readonly string[];
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Default: the front proxy's. `null`: none. */
  readonly client?: Leaf | null;
  readonly query?: string;
}

export type Loopback = Awaited<ReturnType<typeof startLoopback>>;

export async function startLoopback(options: LoopbackOptions = {}) {
  const [servingCa, proxyCa] = await Promise.all([createTestCa('serving'), createTestCa('front-proxy')]);
  const [serving, frontProxy] = await Promise.all([
    servingCa.issue('crashcart', ['crashcart.crashcart-system.svc', tunnelName, 'localhost']),
    proxyCa.issue('front-proxy-client'),
  ]);
  const reviews = new ReviewsDouble();
  const cache = new SessionCacheDouble();
  const registry = new AgentRegistry();
  const placements = new Placements(registry);
  placements.setSecret(serving.key);
  const visits: string[] = [];
  const keepAlive = options.keepAlive === undefined ? {} : { keepAlive: options.keepAlive };
  const common = { reviews, metrics: noMetrics, log: silentLogger, ...keepAlive };
  const tunnels = new TunnelListener({
    ...common,
    registry,
    namespace: 'crashcart-system',
    certificate: serving,
    ...options.tunnel,
  });
  const attach = new AttachServer({
    ...common,
    sessions: cache,
    agents: registry,
    placements,
    onForeign: (_session, user, { mode, refused }) =>
      visits.push(`${user.name} ${mode}${refused === undefined ? '' : ` refused: ${refused}`}`),
    ...(options.reviewEveryMs === undefined ? {} : { reviewEveryMs: options.reviewEveryMs }),
  });
  const recordings = new RecordingServer({
    ...common,
    sessions: cache,
    agents: registry,
    ...(options.store ? { store: options.store } : {}),
  });
  const server = new GatewayServer({
    attach,
    recordings,
    ...(options.tickets
      ? { frontDoor: new FrontDoor({ tickets: options.tickets, attach, recordings, log: silentLogger }) }
      : {}),
    log: silentLogger,
    certificate: serving,
    requestHeader: requestHeader(proxyCa.cert),
    ...(options.strangers === undefined ? {} : { strangers: options.strangers }),
  });
  const { port } = await server.listen(0, '127.0.0.1');
  const { port: tunnelPort } = await tunnels.listen(0, '127.0.0.1');
  const directory = await mkdtemp(join(tmpdir(), 'crashcart-loopback-'));
  await writeFile(join(directory, 'ca.crt'), servingCa.cert);
  const clients = new Set<WebSocket>();
  const agents: { readonly stop: () => Promise<void> }[] = [];

  async function startAgent(node: string, sessions = new SessionsDouble(), instance = 'instance-1', token = node) {
    const stopped = new AbortController();
    const tokenFile = join(directory, `token-${node}`);
    await writeFile(tokenFile, token);
    const running = runTunnels({
      sessions,
      ...(options.recordings ? { recordings: options.recordings } : {}),
      gateway: 'gateway',
      port: tunnelPort,
      serverName: tunnelName,
      caFile: join(directory, 'ca.crt'),
      tokenFile,
      version: '0.1.0',
      instance,
      log: silentLogger,
      signal: stopped.signal,
      resolve: async () => ['127.0.0.1'],
      resolveEveryMs: 100,
      ...keepAlive,
    });
    const stop = async (): Promise<void> => {
      stopped.abort();
      await running;
    };
    agents.push({ stop });
    return { sessions, stop };
  }

  function connect(
    name: string,
    { protocols = ['v5.channel.k8s.io'], headers, client = frontProxy, query }: ConnectOptions = {},
  ) {
    const search = query ?? '?stdin=true&stdout=true&stderr=true&tty=true';
    const socket = new WebSocket(`wss://localhost:${port}${attachPath('shop', name)}${search}`, [...protocols], {
      ca: servingCa.cert,
      ...client,
      perMessageDeflate: false,
      headers: { 'X-Remote-User': 'alice', ...headers },
    });
    clients.add(socket);
    return socket;
  }

  async function stop(): Promise<void> {
    for (const client of clients) {
      client.on('error', () => {});
      client.terminate();
    }
    await Promise.all(agents.map((agent) => agent.stop()));
    tunnels.close();
    server.close();
    await rm(directory, { recursive: true });
  }

  const loopback = {
    servingCa,
    proxyCa,
    serving,
    frontProxy,
    reviews,
    cache,
    registry,
    placements,
    tunnels,
    attach,
    server,
    visits,
  } as const;
  const more = { port, tunnelPort, directory, startAgent, connect, stop } as const;
  if (options.agent === false) return { ...loopback, ...more, agent: new SessionsDouble() };
  const { sessions: agent } = await startAgent('node-1');
  await eventually(() => sessionsOf(registry, 'node-1'), 5_000, 5);
  return { ...loopback, ...more, agent };
}

/** A session that runs on `node-1`, known to the cache and to the agent. */
export function runSession({ cache, agent }: Pick<Loopback, 'cache' | 'agent'>, name: string): DebugSession {
  const session = debugSession(name, { phase: 'Running', nodeName: 'node-1' });
  cache.set(session);
  const { uid, namespace } = session.metadata;
  agent.sessions.set(uid, { uid, namespace, name, phase: 'Running', attached: 0, cleanedUp: false });
  return session;
}

function sessionsOf(registry: AgentRegistry, node: string): void {
  if (registry.get(node)?.sessions() === undefined) throw new Error(`the agent of ${node} has not sent its list`);
}

export interface Refused {
  readonly code: number;
  readonly body: {
    readonly reason?: string;
    readonly message?: string;
    readonly code?: number;
    readonly kind?: string;
  };
}

/** The HTTP answer that came instead of 101. */
export function refusalOf(socket: WebSocket): Promise<Refused> {
  return new Promise((resolve, reject) => {
    socket.on('error', () => {});
    socket.once('open', () => reject(new Error('it was let in')));
    socket.once('unexpected-response', (_request, response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('end', () =>
        resolve({ code: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(chunks).toString('utf8')) }),
      );
    });
  });
}

export interface Conversation {
  readonly messages: readonly Buffer[];
  readonly closeCode: number;
}

/** All messages until the close, and its code. */
export function conversationOf(socket: WebSocket): Promise<Conversation> {
  return new Promise((resolve, reject) => {
    const messages: Buffer[] = [];
    socket.on('message', (data: Buffer) => messages.push(data));
    socket.once('close', (closeCode) => resolve({ messages, closeCode }));
    socket.once('error', reject);
  });
}

export const text = (channel: number, payload: string): Buffer => encodeMessage(channel, Buffer.from(payload));
export type { TestCa };
