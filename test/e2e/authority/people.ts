import { WebSocket } from 'ws';
import { apiVersion, attachPath, kind, plural } from '../../../src/api/names.ts';
import { createKubeClient, type KubeClient, type KubeRequest } from '../../../src/kube/client.ts';
import { loadConnection } from '../../../src/kube/config.ts';
import { type Connection, requestUrl } from '../../../src/kube/connection.ts';
import { KubeError } from '../../../src/kube/kube-error.ts';
import { resourcePath } from '../../../src/kube/paths.ts';
import { cluster } from '../../support/environment.ts';

export interface Who {
  readonly as?: string;
  readonly asUid?: string;
  readonly asGroups?: readonly string[];
  /** A bearer token instead of impersonation. */
  readonly token?: string;
}

/** `allowed`, or the message of the refusal. */
export type Answer = 'allowed' | { readonly code: number; readonly message: string };

/** One person at the API server: impersonated by the cluster's administrator, or with a token of their own. */
export class Person {
  readonly #connection: Connection;
  readonly #client: KubeClient;

  constructor({ token, ...who }: Who = {}) {
    const connection = loadConnection({ kubeconfig: cluster().kubeconfig, ...who });
    this.#connection = token === undefined ? connection : withToken(connection, token);
    this.#client = createKubeClient(this.#connection, 'authority-test');
  }

  get client(): KubeClient {
    return this.#client;
  }

  async try(request: KubeRequest): Promise<Answer> {
    try {
      await this.#client.request(request);
      return 'allowed';
    } catch (caught) {
      if (caught instanceof KubeError) return { code: caught.code, message: caught.message };
      throw caught;
    }
  }

  /** Whether a watch is opened. */
  async watch(path: string): Promise<Answer> {
    try {
      (await this.#client.stream({ method: 'GET', path, query: { watch: true, timeoutSeconds: 1 } })).destroy();
      return 'allowed';
    } catch (caught) {
      if (caught instanceof KubeError) return { code: caught.code, message: caught.message };
      throw caught;
    }
  }

  /** A create that is checked and not stored. */
  create(namespace: string, spec: object = {}, metadata: object = {}): Promise<Answer> {
    const body = sessionOf(namespace, 'tried', spec, metadata);
    return this.try({ method: 'POST', path: resourcePath(apiVersion, plural, { namespace }), query: dryRun, body });
  }

  /** The first message of the stream decides nothing here: only whether the gateway lets one in. */
  async attach(namespace: string, name: string, observe = false): Promise<Answer> {
    const { tls, headers } = await this.#connection.credentials();
    const url = requestUrl(this.#connection, attachPath(namespace, name), { stdout: true, stdin: true, observe });
    url.protocol = 'wss:';
    const socket = new WebSocket(url, ['v5.channel.k8s.io'], { ...tls, headers });
    return await new Promise<Answer>((resolve, reject) => {
      socket.on('error', reject);
      socket.once('open', () => {
        resolve('allowed');
        socket.close();
      });
      socket.once('unexpected-response', (_request, response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('end', () => {
          const text = Buffer.concat(chunks).toString();
          const { message = text } = JSON.parse(text) as { message?: string };
          resolve({ code: response.statusCode ?? 0, message });
        });
      });
    });
  }

  close(): void {
    this.#client.close();
  }
}

export const dryRun = { dryRun: 'All' } as const;

export const sessionOf = (namespace: string, name: string, spec: object, metadata: object = {}) => ({
  apiVersion,
  kind,
  metadata: { name, namespace, ...metadata },
  spec: { target: { pod: { name: 'box' } }, ...spec },
});

const withToken = (connection: Connection, token: string): Connection => ({
  ...connection,
  async credentials() {
    const { tls } = await connection.credentials();
    return { tls: { ca: tls.ca as string }, headers: { authorization: `Bearer ${token}` } };
  },
});
