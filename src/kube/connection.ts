import type { Agent } from 'node:http';
import type { SecureContextOptions } from 'node:tls';

/** What a TLS client of the API server needs; fits `https.request` and the `ws` package alike. */
export interface TlsOptions extends Pick<SecureContextOptions, 'ca' | 'cert' | 'key'> {
  rejectUnauthorized?: boolean;
  servername?: string;
}

export interface Credentials {
  readonly tls: TlsOptions;
  /** `Authorization` and the `Impersonate-…` headers, as far as there are any. */
  readonly headers: Readonly<Record<string, string | string[]>>;
  /** Only where the kubeconfig names a proxy: this agent goes through it. */
  readonly agent?: Agent;
}

/** One API server as one user. */
export interface Connection {
  /** May carry a path prefix: build addresses with `requestUrl`. */
  readonly server: URL;
  /** Where commands act that name no namespace. */
  readonly namespace: string;
  /** Asked before every request, so that a short-lived token is never stale. Cheap when nothing has changed. */
  credentials(): Promise<Credentials>;
}

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/** The address of an API path (`/apis/…`, already escaped) below the server's own prefix. */
export function requestUrl(connection: Pick<Connection, 'server'>, path: string, query: Query = {}): URL {
  const url = new URL(connection.server);
  url.pathname = url.pathname.replace(/\/+$/, '') + path;
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(key, String(value));
  }
  return url;
}
