import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { selfSigned } from './self-signed.ts';

/** As much of a session as the double keeps. */
export interface StoredSession {
  metadata: { name: string; namespace: string; uid: string; creationTimestamp: string; deletionTimestamp?: string };
  spec: Record<string, unknown> & { tty: boolean; stdin: boolean };
  status?: Record<string, unknown>;
}

export interface Refusal {
  readonly code: number;
  readonly status: Readonly<Record<string, unknown>>;
}

export type Attached = (socket: WebSocket, session: StoredSession, query: URLSearchParams) => void;

const sessionsPath = /^\/apis\/crashcart\.dev\/v1alpha1(?:\/namespaces\/([^/]+))?\/debugsessions(?:\/([^/]+))?$/;
const recordingPath =
  /^\/apis\/subresources\.crashcart\.dev\/v1alpha1\/namespaces\/([^/]+)\/debugsessions\/([^/]+)\/recording$/;
const attachPath =
  /^\/apis\/subresources\.crashcart\.dev\/v1alpha1\/namespaces\/([^/]+)\/debugsessions\/([^/]+)\/attach$/;

/**
 * Speaks the paths of an API server that the plugin asks, over TLS on loopback, for tests of the plugin alone. It decides
 * nothing: what a real cluster answers is shown by test/e2e.
 */
export class ApiDouble {
  readonly sessions = new Map<string, StoredSession>();
  readonly deleted: string[] = [];
  /** By `namespace/name`. */
  readonly recordings = new Map<string, Buffer>();
  /** Other GET paths (with or without query) and their answers. */
  readonly routes = new Map<string, unknown>();
  readonly requests: { readonly method: string; readonly url: string; readonly headers: IncomingMessage['headers'] }[] =
    [];
  readonly kubeconfig: string;
  /** TCP connections that were accepted. */
  connections = 0;
  refuseCreate: Refusal | undefined;
  /** The first create only. `stored`: what was refused is there all the same, as behind a proxy that lost the answer. */
  refuseCreateOnce: (Refusal & { readonly stored?: boolean }) | undefined;
  /** The first patch only. */
  refusePatchOnce: Refusal | undefined;
  /** POST paths beside the sessions', and their answers. */
  readonly posts = new Map<string, unknown>();
  /** Asked for each attach, in order; undefined lets it through. */
  refuseAttach: (() => Refusal | undefined) | undefined;
  /** Milliseconds before an attach is answered. */
  attachDelayMs = 0;
  protocols: readonly string[] = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];
  attached: Attached = () => undefined;
  readonly #server: Server;
  readonly #webSockets: WebSocketServer;
  readonly #directory: string;

  private constructor(server: Server, directory: string) {
    this.#server = server;
    this.#directory = directory;
    this.kubeconfig = join(directory, 'config');
    this.#webSockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      handleProtocols: (offered) => this.protocols.find((each) => offered.has(each)) ?? false,
    });
    server.on('connection', () => {
      this.connections++;
    });
    server.on('request', (request, response) => void this.#answer(request, response));
    server.on('upgrade', (request, socket, head) => void this.#upgrade(request, socket, head));
  }

  static async start(): Promise<ApiDouble> {
    const { key, cert } = await selfSigned();
    const server = createServer({ key, cert });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const directory = mkdtempSync(join(tmpdir(), 'crashcart-double-'));
    const double = new ApiDouble(server, directory);
    const { port } = server.address() as AddressInfo;
    writeFileSync(double.kubeconfig, kubeconfigText(`https://127.0.0.1:${port}`, cert));
    return double;
  }

  get server(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#webSockets.clients) socket.terminate();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#directory, { recursive: true });
  }

  /** The only session; throws when there is not exactly one. */
  get only(): StoredSession {
    const [session, ...more] = this.sessions.values();
    if (!session || more.length > 0) throw new Error(`there are ${this.sessions.size} sessions`);
    return session;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'https://double');
    this.requests.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers });
    const body = await text(request);
    if (this.#answerRecording(url, response)) return;
    const [code, answer] = this.#decide(request.method ?? '', url, body);
    const json = JSON.stringify(answer);
    response
      .writeHead(code, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) })
      .end(json);
  }

  #answerRecording({ pathname, searchParams }: URL, response: ServerResponse): boolean {
    const [, namespace, name] = recordingPath.exec(pathname) ?? [];
    const bytes = this.recordings.get(`${namespace}/${name}`);
    if (bytes === undefined) return false;
    const from = Number(searchParams.get('from'));
    // Less than was asked for, as a gateway may give.
    const part = bytes.subarray(from, from + Math.min(Number(searchParams.get('limit')), 3_000_000));
    response.writeHead(200, { 'x-crashcart-recording-length': `${bytes.length}` }).end(part);
    return true;
  }

  #decide(method: string, url: URL, body: string): readonly [number, unknown] {
    const [, namespace, name] = sessionsPath.exec(url.pathname) ?? [];
    if (method === 'POST' && this.posts.has(url.pathname)) return [201, this.posts.get(url.pathname)];
    if (method === 'POST' && namespace) return this.#create(namespace, body);
    if (method === 'DELETE' && namespace && name) return this.#delete(namespace, name);
    if (method === 'PATCH' && namespace && name) return this.#patch(namespace, name, body);
    if (sessionsPath.test(url.pathname)) return this.#read(namespace, name);
    const route = this.routes.get(url.pathname + decodeURIComponent(url.search)) ?? this.routes.get(url.pathname);
    return route === undefined ? notFound('the server could not find the requested resource') : [200, route];
  }

  #create(namespace: string, body: string): readonly [number, unknown] {
    if (this.refuseCreate) return [this.refuseCreate.code, this.refuseCreate.status];
    const { refuseCreateOnce } = this;
    this.refuseCreateOnce = undefined;
    const session = JSON.parse(body) as StoredSession;
    if (refuseCreateOnce && !refuseCreateOnce.stored) return [refuseCreateOnce.code, refuseCreateOnce.status];
    if (this.sessions.has(`${namespace}/${session.metadata.name}`)) {
      const message = `debugsessions "${session.metadata.name}" already exists`;
      return [409, { kind: 'Status', status: 'Failure', reason: 'AlreadyExists', code: 409, message }];
    }
    session.metadata = {
      ...session.metadata,
      namespace,
      uid: crypto.randomUUID(),
      creationTimestamp: new Date().toISOString(),
    };
    this.sessions.set(`${namespace}/${session.metadata.name}`, session);
    return refuseCreateOnce ? [refuseCreateOnce.code, refuseCreateOnce.status] : [201, session];
  }

  #read(namespace: string | undefined, name: string | undefined): readonly [number, unknown] {
    const all = [...this.sessions.values()].filter(
      ({ metadata }) => namespace === undefined || metadata.namespace === namespace,
    );
    if (name === undefined) return [200, { items: all, metadata: {} }];
    const session = all.find(({ metadata }) => metadata.name === name);
    return session ? [200, session] : notFound(`debugsessions.crashcart.dev "${name}" not found`, 'debugsessions');
  }

  /** A merge patch of fields of the spec. */
  #patch(namespace: string, name: string, body: string): readonly [number, unknown] {
    const { refusePatchOnce } = this;
    this.refusePatchOnce = undefined;
    if (refusePatchOnce) return [refusePatchOnce.code, refusePatchOnce.status];
    const session = this.sessions.get(`${namespace}/${name}`);
    if (!session) return notFound(`debugsessions.crashcart.dev "${name}" not found`, 'debugsessions');
    const { spec } = JSON.parse(body) as Pick<StoredSession, 'spec'>;
    const patched = { ...session, spec: { ...session.spec, ...spec } };
    this.sessions.set(`${namespace}/${name}`, patched);
    return [200, patched];
  }

  #delete(namespace: string, name: string): readonly [number, unknown] {
    if (!this.sessions.delete(`${namespace}/${name}`)) {
      return notFound(`debugsessions.crashcart.dev "${name}" not found`, 'debugsessions');
    }
    this.deleted.push(name);
    return [200, { kind: 'Status', status: 'Success' }];
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => undefined);
    const url = new URL(request.url ?? '', 'https://double');
    this.requests.push({ method: 'UPGRADE', url: request.url ?? '', headers: request.headers });
    const [, namespace, name] = attachPath.exec(url.pathname) ?? [];
    if (this.attachDelayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.attachDelayMs));
    const session = this.sessions.get(`${namespace}/${name}`);
    const refusal = session ? this.refuseAttach?.() : { code: 404, status: statusNotFound(`no session ${name}`) };
    if (refusal || !session) {
      const body = JSON.stringify(refusal?.status);
      socket.end(
        `HTTP/1.1 ${refusal?.code} No\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
      );
      return;
    }
    this.#webSockets.handleUpgrade(request, socket, head, (ws) => this.attached(ws, session, url.searchParams));
  }
}

const statusNotFound = (message: string, kind?: string): Refusal['status'] => ({
  kind: 'Status',
  status: 'Failure',
  reason: 'NotFound',
  message,
  code: 404,
  details: kind ? { kind } : {},
});

const notFound = (message: string, kind?: string): readonly [number, unknown] => [404, statusNotFound(message, kind)];

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

const kubeconfigText = (server: string, ca: string): string =>
  [
    'apiVersion: v1',
    'kind: Config',
    'current-context: double',
    'contexts: [{name: double, context: {cluster: double, user: tester, namespace: shop}}]',
    'users: [{name: tester, user: {token: secret-token}}]',
    'clusters:',
    '- name: double',
    `  cluster: {server: "${server}", certificate-authority-data: ${Buffer.from(ca).toString('base64')}}`,
    '',
  ].join('\n');
