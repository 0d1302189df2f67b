import { existsSync, readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { load } from 'js-yaml';
import { CrashcartError, reasons } from '../base/errors.ts';
import type { Connection, Credentials, TlsOptions } from '../kube/connection.ts';
import type { CommandLine } from './command-line.ts';
import { type Cluster, type Config, mergeConfigs, readConfig, type User } from './kubeconfig-file.ts';

/**
 * The kubeconfig in a few milliseconds. src/kube/config.ts does the same through the Kubernetes client, which costs a shell
 * some 50 ms of its start even when it is compiled ahead; it is loaded only for what this file leaves to it: `auth-provider`.
 */
export interface Selection {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly cluster?: string;
  readonly user?: string;
  readonly namespace?: string;
  readonly server?: string;
  readonly token?: string;
  readonly certificateAuthority?: string;
  readonly tlsServerName?: string;
  readonly insecure?: boolean;
  readonly as?: string;
  readonly asUid?: string;
  readonly asGroups?: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface NamedConnection extends Connection {
  /** The context's name, for messages. */
  readonly context: string;
}

const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount';

export function selectionOf(line: CommandLine, env: Selection['env']): Selection {
  const named = {
    kubeconfig: line.text('kubeconfig'),
    context: line.text('context'),
    cluster: line.text('cluster'),
    user: line.text('user'),
    namespace: line.text('namespace'),
    server: line.text('server'),
    token: line.text('token'),
    certificateAuthority: line.text('certificate-authority'),
    tlsServerName: line.text('tls-server-name'),
    insecure: line.switch('insecure-skip-tls-verify'),
    as: line.text('as'),
    asUid: line.text('as-uid'),
  };
  const given = Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined && value !== ''));
  return { ...given, asGroups: line.texts('as-group'), env };
}

/** @throws CrashcartError Invalid that names the file or the entry at fault. */
export function connect(selection: Selection): NamedConnection {
  const config = loadConfig(selection);
  const contextName = selection.context ?? config.currentContext ?? '';
  const context = config.contexts.get(contextName);
  if (selection.context !== undefined && !context) {
    const known = [...config.contexts.keys()].join(', ') || 'none';
    throw invalid(`context "${contextName}" is not in the kubeconfig, which has: ${known}`);
  }
  const clusterName = selection.cluster ?? context?.cluster;
  const cluster = withFlags(clusterName === undefined ? undefined : config.clusters.get(clusterName), selection);
  const user = config.users.get(selection.user ?? context?.user ?? '') ?? {};
  if (selection.user !== undefined && !config.users.has(selection.user)) {
    throw invalid(`user "${selection.user}" is not in the kubeconfig: --user names a user of it, --uid the shell's`);
  }
  if (!cluster.server) {
    throw invalid(
      'the kubeconfig names no cluster to use: choose a context with --context or "kubectl config use-context"',
    );
  }
  return {
    server: parseServer(cluster.server),
    namespace: selection.namespace ?? context?.namespace ?? 'default',
    context: contextName,
    credentials: () => credentialsOf(cluster, user, selection),
  };
}

function loadConfig({ kubeconfig, server, env }: Selection): Config {
  const listed = (env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  const home = join(env['HOME'] ?? homedir(), '.kube', 'config');
  const wanted = kubeconfig ? [kubeconfig] : listed.length > 0 ? listed : [home];
  // kubectl passes over listed files that do not exist: people keep one KUBECONFIG line for many machines.
  const files = kubeconfig ? wanted : wanted.filter((file) => existsSync(file));
  if (files.length > 0) return mergeConfigs(files.map(loadFile));
  if (env['KUBERNETES_SERVICE_HOST'] && existsSync(join(serviceAccount, 'token'))) return inCluster(env);
  if (server) return mergeConfigs([]);
  throw invalid(`there is no kubeconfig at ${wanted.join(', ')}: name one with --kubeconfig or in KUBECONFIG`);
}

function loadFile(file: string): Config {
  try {
    return readConfig(load(readFileSync(file, 'utf8')), dirname(file));
  } catch (cause) {
    const message = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    throw new CrashcartError(reasons.Invalid, `the kubeconfig ${file} cannot be read: ${message}`, { cause });
  }
}

function inCluster(env: Selection['env']): Config {
  const host = env['KUBERNETES_SERVICE_HOST'] ?? '';
  const namespaceFile = join(serviceAccount, 'namespace');
  const namespace = existsSync(namespaceFile) ? readFileSync(namespaceFile, 'utf8').trim() : 'default';
  const address = host.includes(':') ? `[${host}]` : host;
  const name = 'in-cluster';
  return {
    currentContext: name,
    contexts: new Map([[name, { cluster: name, user: name, namespace }]]),
    clusters: new Map([
      [
        name,
        {
          server: `https://${address}:${env['KUBERNETES_SERVICE_PORT'] ?? '443'}`,
          caFile: join(serviceAccount, 'ca.crt'),
        },
      ],
    ]),
    users: new Map([[name, { tokenFile: join(serviceAccount, 'token') }]]),
  };
}

function withFlags(cluster: Cluster | undefined, flags: Selection): Cluster {
  const { caFile, caData, ...rest } = cluster ?? {};
  // kubectl refuses a CA together with "insecure"; the flag wins over the file here, because it was typed.
  const ca = { ...(caFile ? { caFile } : {}), ...(caData ? { caData } : {}) };
  return {
    ...rest,
    ...(flags.insecure ? {} : ca),
    ...(flags.server ? { server: flags.server } : {}),
    ...(flags.certificateAuthority ? { caFile: flags.certificateAuthority } : {}),
    ...(flags.tlsServerName ? { tlsServerName: flags.tlsServerName } : {}),
    ...(flags.insecure === undefined ? {} : { insecure: flags.insecure }),
  };
}

function parseServer(server: string): URL {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (url?.protocol === 'https:') return url;
  throw invalid(
    `the API server's address "${server}" is not https: a shell is not opened over an unencrypted connection`,
  );
}

async function credentialsOf(cluster: Cluster, user: User, flags: Selection): Promise<Credentials> {
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
  return { tls, headers, ...(cluster.proxyUrl ? { agent: proxyAgent(cluster.proxyUrl, tls) } : {}) };
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
    ...(as ? { 'Impersonate-User': as } : {}),
    ...(asUid ? { 'Impersonate-Uid': asUid } : {}),
    ...(groups.length > 0 ? { 'Impersonate-Group': [...groups] } : {}),
  };
}

function proxyAgent(proxyUrl: string, tls: TlsOptions): Agent {
  if (!/^https?:/.test(proxyUrl)) {
    throw invalid(
      `the kubeconfig's proxy-url "${proxyUrl}" is not http or https, the only kinds that this program can use`,
    );
  }
  return new Agent({ ...tls, keepAlive: true, proxyEnv: { HTTPS_PROXY: proxyUrl } });
}

const invalid = (message: string): CrashcartError => new CrashcartError(reasons.Invalid, message);
