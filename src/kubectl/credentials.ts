import { readFileSync } from 'node:fs';
import type { Agent as HttpAgent } from 'node:http';
import { Agent } from 'node:https';
import { CrashcartError, reasons } from '../base/errors.ts';
import { headerText } from '../base/text.ts';
import type { Credentials, TlsOptions } from '../kube/connection.ts';
import type { Cluster, User } from './kubeconfig-file.ts';
import type { Selection } from './selection.ts';

/** Who we are, and how the API server is reached. @throws CrashcartError Invalid, Unauthorized */
export async function credentialsOf(cluster: Cluster, user: User, flags: Selection): Promise<Credentials> {
  const proof = flags.token === undefined ? await proofOf(user, cluster, flags) : { token: flags.token };
  const ca = contents(cluster.caFile, cluster.caData);
  const tls: TlsOptions = {
    ...(ca ? { ca } : {}),
    ...(proof.cert && proof.key ? { cert: proof.cert, key: proof.key } : {}),
    ...(cluster.insecure ? { rejectUnauthorized: false } : {}),
    ...(cluster.tlsServerName ? { servername: cluster.tlsServerName } : {}),
  };
  const headers = {
    ...(proof.token ? { Authorization: `Bearer ${proof.token}` } : basic(user)),
    ...(proof.authorization ? { Authorization: proof.authorization } : {}),
    ...impersonation(user, flags),
  };
  return { tls, headers, ...(cluster.proxyUrl ? { agent: await proxyAgent(cluster.proxyUrl, tls) } : {}) };
}

interface Proof {
  readonly token?: string;
  readonly authorization?: string;
  readonly cert?: TlsOptions['cert'];
  readonly key?: TlsOptions['key'];
}

/** In kubectl's order: certificate and token of the file, then a program, then what only the full client knows. */
async function proofOf(user: User, cluster: Cluster, flags: Selection): Promise<Proof> {
  const cert = contents(user.certFile, user.certData);
  const key = contents(user.keyFile, user.keyData);
  const token = user.tokenFile ? readNamed(user.tokenFile).toString('utf8').trim() : user.token;
  const own = { ...(cert ? { cert } : {}), ...(key ? { key } : {}), ...(token ? { token } : {}) };
  if (token || (cert && key)) return own;
  if (user.exec) {
    const { execCredential } = await import('./exec-credential.ts');
    return execCredential(user.exec, cluster, flags.env);
  }
  if (!user.hasAuthProvider) return own;
  const { loadConnection } = await import('../kube/config.ts');
  const { headers, tls } = await loadConnection(flags).credentials();
  const authorization = headers['Authorization'];
  return { ...tls, ...(typeof authorization === 'string' ? { authorization } : {}) };
}

function contents(file: string | undefined, data: string | undefined): Buffer | undefined {
  if (data) return Buffer.from(data, 'base64');
  return file ? readNamed(file) : undefined;
}

function readNamed(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new CrashcartError(reasons.Invalid, `a file that the kubeconfig names cannot be read: ${message}`, { cause });
  }
}

const basic = ({ username, password }: User): Record<string, string> =>
  username ? { Authorization: `Basic ${Buffer.from(`${username}:${password ?? ''}`).toString('base64')}` } : {};

function impersonation(user: User, flags: Selection): Record<string, string | string[]> {
  const as = flags.as ?? user.as;
  const asUid = flags.asUid ?? user.asUid;
  const groups = flags.asGroups && flags.asGroups.length > 0 ? flags.asGroups : (user.asGroups ?? []);
  return {
    ...(as ? { 'Impersonate-User': headerText(as) } : {}),
    ...(asUid ? { 'Impersonate-Uid': headerText(asUid) } : {}),
    ...(groups.length > 0 ? { 'Impersonate-Group': groups.map(headerText) } : {}),
    ...impersonatedExtra(user, flags),
  };
}

function impersonatedExtra(user: User, { asExtras = [] }: Selection): Record<string, string[]> {
  const extras = new Map(Object.entries(user.asExtra ?? {}).map(([key, values]) => [key, [...values]]));
  if (asExtras.length > 0) extras.clear();
  for (const typed of asExtras) {
    const at = typed.indexOf('=');
    if (at < 1) throw invalid(`--as-user-extra is KEY=VALUE, not "${typed}"`);
    const key = typed.slice(0, at);
    extras.set(key, [...(extras.get(key) ?? []), typed.slice(at + 1)]);
  }
  // Keys may hold what a header name may not: the API server decodes them.
  return Object.fromEntries(
    [...extras].map(([key, values]) => [`Impersonate-Extra-${headerKey(key)}`, values.map(headerText)]),
  );
}

const headerKey = (key: string): string =>
  encodeURIComponent(key).replace(/[()]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

/** Like kubectl, a proxy-url holds for every host: NO_PROXY is for the variables. */
async function proxyAgent(proxyUrl: string, tls: TlsOptions): Promise<HttpAgent> {
  if (/^https?:/.test(proxyUrl)) return new Agent({ ...tls, keepAlive: true, proxyEnv: { HTTPS_PROXY: proxyUrl } });
  if (!/^socks5h?:/.test(proxyUrl)) {
    throw invalid(`the proxy-url "${proxyUrl}" is not http, https or socks5, the only kinds that this program can use`);
  }
  const { SocksProxyAgent } = await import('socks-proxy-agent');
  // Go leaves the name to the proxy: what only the other network can resolve must work.
  return new SocksProxyAgent(proxyUrl.replace(/^socks5:/, 'socks5h:'), { ...tls, keepAlive: true });
}

const invalid = (message: string): CrashcartError => new CrashcartError(reasons.Invalid, message);
