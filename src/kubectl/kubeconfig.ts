import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { load } from 'js-yaml';
import { CrashcartError, reasons } from '../base/errors.ts';
import type { Connection } from '../kube/connection.ts';
import { credentialsOf } from './credentials.ts';
import { type Cluster, type Config, mergeConfigs, readConfig, type User } from './kubeconfig-file.ts';
import type { Selection } from './selection.ts';

export interface NamedConnection extends Connection {
  /** The context's name, for messages. */
  readonly context: string;
}

const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * The kubeconfig in a few milliseconds. src/kube/config.ts does the same through the Kubernetes client, which costs a shell
 * some 50 ms of its start even when it is compiled ahead; it is loaded only for what this file leaves to it: `auth-provider`.
 * @throws CrashcartError Invalid that names the file or the entry at fault.
 */
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
  const user = userWithFlags(config.users.get(selection.user ?? context?.user ?? '') ?? {}, selection);
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
    ...(flags.proxyUrl ? { proxyUrl: flags.proxyUrl } : {}),
    ...(flags.insecure === undefined ? {} : { insecure: flags.insecure }),
  };
}

/** What was typed replaces what the file has of the same kind. */
function userWithFlags(user: User, { clientCertificate, clientKey, username, password }: Selection): User {
  const { certData, keyData, token, tokenFile, exec, hasAuthProvider, ...rest } = user;
  const typed = clientCertificate !== undefined || username !== undefined;
  const kept = typed ? rest : user;
  return {
    ...kept,
    ...(clientCertificate ? { certFile: clientCertificate } : {}),
    ...(clientKey ? { keyFile: clientKey } : {}),
    ...(username ? { username } : {}),
    ...(password ? { password } : {}),
  };
}

function parseServer(server: string): URL {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (url?.protocol === 'https:') return url;
  throw invalid(
    `the API server's address "${server}" is not https: a shell is not opened over an unencrypted connection`,
  );
}

const invalid = (message: string): CrashcartError => new CrashcartError(reasons.Invalid, message);
