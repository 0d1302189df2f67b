import type { TLSSocket } from 'node:tls';
import { CrashcartError, reasons } from '../base/errors.ts';
import type { UserInfo } from './kubernetes.ts';

/** ConfigMap kube-system/extension-apiserver-authentication: whom to believe, and in which headers. */
export interface RequestHeaderConfig {
  /** PEM; may hold several certificates. */
  readonly clientCa: string;
  /** Common names of the front proxy; none: any certificate of the CA will do. */
  readonly allowedNames: readonly string[];
  readonly usernameHeaders: readonly string[];
  /** Only since Kubernetes 1.33; an older aggregator lets a user's own X-Remote-Uid through, so it must be named here. */
  readonly uidHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
  readonly extraHeaderPrefixes: readonly string[];
}

type Peer = Pick<TLSSocket, 'authorized' | 'getPeerCertificate'>;

/**
 * Whether the other end is the front proxy: its certificate chains to the request-header CA (the only CA that the server's
 * context trusts, so `authorized` says it) and its common name is allowed. Everything in a cluster can reach our Service.
 */
export function isFrontProxy(peer: Peer, config: RequestHeaderConfig): boolean {
  if (!peer.authorized) return false;
  if (config.allowedNames.length === 0) return true;
  // A certificate with several common names gives a list here: no front proxy has one.
  const name: unknown = peer.getPeerCertificate()?.subject?.CN;
  return typeof name === 'string' && config.allowedNames.includes(name);
}

/**
 * The user that the front proxy names. `rawHeaders` is Node's flat list of names and values: its `headers` would join repeated
 * groups with a comma, and a group may contain one. Values are UTF-8 that Node read as latin1.
 * @throws CrashcartError Unauthorized without a user name
 */
export function identify(rawHeaders: readonly string[], config: RequestHeaderConfig): UserInfo {
  const headers = pairs(rawHeaders);
  const first = (names: readonly string[]): string | undefined =>
    names.map((name) => valuesOf(headers, name).find((value) => value !== '')).find((value) => value !== undefined);
  const name = first(config.usernameHeaders);
  if (name === undefined) {
    throw new CrashcartError(
      reasons.Unauthorized,
      'the front proxy named no user: use the API server, not this address',
    );
  }
  const uid = first(config.uidHeaders);
  return {
    name,
    ...(uid === undefined ? {} : { uid }),
    groups: config.groupHeaders.flatMap((header) => valuesOf(headers, header)),
    extra: extraOf(headers, config.extraHeaderPrefixes),
  };
}

type Header = readonly [name: string, value: string];

function pairs(rawHeaders: readonly string[]): readonly Header[] {
  const headers: Header[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = rawHeaders.slice(at, at + 2);
    headers.push([name.toLowerCase(), Buffer.from(value, 'latin1').toString('utf8')]);
  }
  return headers;
}

function valuesOf(headers: readonly Header[], name: string): string[] {
  const wanted = name.toLowerCase();
  return headers.filter(([header]) => header === wanted).map(([, value]) => value);
}

/** Keys are lower case and percent-encoded, as the API server's own request-header authenticator reads them. */
function extraOf(headers: readonly Header[], prefixes: readonly string[]): Record<string, readonly string[]> {
  const extra = new Map<string, string[]>();
  for (const prefix of prefixes.map((text) => text.toLowerCase())) {
    for (const [name, value] of headers) {
      if (!name.startsWith(prefix) || name.length === prefix.length) continue;
      const key = decoded(name.slice(prefix.length));
      const values = extra.get(key);
      if (values) values.push(value);
      else extra.set(key, [value]);
    }
  }
  // fromEntries defines own properties, so that a key `__proto__` is a key like any other.
  return Object.fromEntries(extra);
}

/** What cannot be decoded is kept as it stands, as Kubernetes does. */
function decoded(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}
