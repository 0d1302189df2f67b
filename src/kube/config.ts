import { existsSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { delimiter, join } from 'node:path';
// Only this file of the client: the rest of it costs the plugin 15 to 30 ms of its start.
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { CrashcartError, reasons } from '../base/errors.ts';
import { headerText } from '../base/text.ts';
import type { Connection, Credentials, TlsOptions } from './connection.ts';

/** The flags of kubectl with the same names and the same meaning. */
export interface KubeconfigOptions {
  /** Path of one file; default: `$KUBECONFIG` (a list), then `~/.kube/config`. */
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly cluster?: string;
  readonly user?: string;
  readonly namespace?: string;
  readonly token?: string;
  readonly as?: string;
  readonly asUid?: string;
  readonly asGroups?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Loads the kubeconfig as kubectl does. Throws CrashcartError `Invalid` that names the file or the context at fault. */
export function loadConnection(options: KubeconfigOptions = {}): Connection {
  const config = loadFiles(kubeconfigFiles(options));
  selectContext(config, options);
  const cluster = config.getCurrentCluster();
  if (!cluster) {
    throw new CrashcartError(
      reasons.Invalid,
      `the kubeconfig names no cluster for context "${config.getCurrentContext()}": see "kubectl config get-contexts", choose one with --context`,
    );
  }
  const server = parseServer(cluster.server);
  const context = config.getContextObject(config.getCurrentContext());
  const proxied = Boolean(cluster.proxyUrl);
  return {
    server,
    namespace: options.namespace ?? context?.namespace ?? 'default',
    credentials: () => credentialsOf(config, options, proxied),
  };
}

function kubeconfigFiles({ kubeconfig, env = process.env }: KubeconfigOptions): readonly string[] {
  if (kubeconfig) return [kubeconfig];
  const listed = (env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  const candidates = listed.length > 0 ? listed : [join(env['HOME'] ?? '/', '.kube', 'config')];
  // kubectl passes over listed files that do not exist: people keep one KUBECONFIG line for many machines.
  const present = candidates.filter((file) => existsSync(file));
  if (present.length > 0) return present;
  throw new CrashcartError(
    reasons.Invalid,
    `there is no kubeconfig at ${candidates.join(', ')}: name one with --kubeconfig or in KUBECONFIG`,
  );
}

function loadFiles(files: readonly string[]): KubeConfig {
  const [first, ...others] = files.map((file) => {
    const config = new KubeConfig();
    try {
      config.loadFromFile(file);
    } catch (cause) {
      throw new CrashcartError(reasons.Invalid, `the kubeconfig ${file} cannot be read: ${messageOf(cause)}`, {
        cause,
      });
    }
    return config;
  });
  if (!first) throw new CrashcartError(reasons.Invalid, 'no kubeconfig was given');
  for (const other of others) first.mergeConfig(other, Boolean(first.getCurrentContext()));
  return first;
}

const messageOf = (caught: unknown): string => (caught instanceof Error ? caught.message : String(caught));

function selectContext(config: KubeConfig, options: KubeconfigOptions): void {
  if (options.context !== undefined) {
    if (!config.getContextObject(options.context)) {
      throw new CrashcartError(
        reasons.Invalid,
        `context "${options.context}" is not in the kubeconfig: it has ${
          config
            .getContexts()
            .map((each) => `"${each.name}"`)
            .join(', ') || 'none'
        }`,
      );
    }
    config.setCurrentContext(options.context);
  }
  if (options.cluster === undefined && options.user === undefined) return;
  const current = config.getContextObject(config.getCurrentContext());
  const name = 'crashcart-command-line';
  config.addContext({
    name,
    cluster: options.cluster ?? current?.cluster ?? '',
    user: options.user ?? current?.user ?? '',
    ...(current?.namespace === undefined ? {} : { namespace: current.namespace }),
  });
  config.setCurrentContext(name);
}

function parseServer(server: string): URL {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (url?.protocol === 'https:') return url;
  throw new CrashcartError(
    reasons.Invalid,
    `the kubeconfig's server "${server}" is not an https address: a shell is not opened over an unencrypted connection`,
  );
}

async function credentialsOf(config: KubeConfig, options: KubeconfigOptions, proxied: boolean): Promise<Credentials> {
  const applied: RequestOptions = {};
  try {
    await config.applyToHTTPSOptions(applied);
  } catch (cause) {
    throw new CrashcartError(
      reasons.Unauthorized,
      `the kubeconfig's user gave no credentials: ${messageOf(cause).trim()}`,
      { cause },
    );
  }
  const headers = { ...(applied.headers as Record<string, string> | undefined) };
  if (applied.auth) headers['Authorization'] = `Basic ${Buffer.from(applied.auth).toString('base64')}`;
  if (options.token !== undefined) headers['Authorization'] = `Bearer ${options.token}`;
  return {
    tls: tlsOf(applied),
    headers: { ...headers, ...impersonation(options) },
    ...(proxied && applied.agent instanceof Object ? { agent: applied.agent } : {}),
  };
}

function tlsOf({ ca, cert, key, rejectUnauthorized, servername }: RequestOptions): TlsOptions {
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
    ...(servername === undefined ? {} : { servername }),
  };
}

function impersonation({ as, asUid, asGroups }: KubeconfigOptions): Record<string, string | string[]> {
  return {
    ...(as === undefined ? {} : { 'Impersonate-User': headerText(as) }),
    ...(asUid === undefined ? {} : { 'Impersonate-Uid': headerText(asUid) }),
    ...(asGroups === undefined || asGroups.length === 0 ? {} : { 'Impersonate-Group': asGroups.map(headerText) }),
  };
}
