import { setTimeout as sleep } from 'node:timers/promises';
import { CrashcartError, describe, reasons } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { KubeClient } from './client.ts';

/** How the API server proves itself when it forwards a user's request, and in which headers it names the user. */
export interface RequestHeaderConfig {
  /** PEM; may hold several certificates. */
  readonly clientCa: string;
  /** Common names; empty: any that `clientCa` has signed. */
  readonly allowedNames: readonly string[];
  readonly usernameHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
  readonly extraHeaderPrefixes: readonly string[];
  /** Empty before Kubernetes 1.33: then a header that looks like a uid is the user's own invention. */
  readonly uidHeaders: readonly string[];
}

const path = '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication';

export async function readRequestHeaderConfig(
  client: Pick<KubeClient, 'request'>,
  signal?: AbortSignal,
): Promise<RequestHeaderConfig> {
  const { data } = (await client.request({ method: 'GET', path, ...(signal ? { signal } : {}) })) as {
    data?: Readonly<Record<string, string>>;
  };
  const clientCa = data?.['requestheader-client-ca-file'];
  if (!clientCa) {
    throw new CrashcartError(
      reasons.Unavailable,
      'kube-system/extension-apiserver-authentication has no requestheader-client-ca-file: the API server runs without its aggregation layer',
    );
  }
  return {
    clientCa,
    allowedNames: jsonList(data, 'requestheader-allowed-names'),
    usernameHeaders: jsonList(data, 'requestheader-username-headers'),
    groupHeaders: jsonList(data, 'requestheader-group-headers'),
    extraHeaderPrefixes: jsonList(data, 'requestheader-extra-headers-prefix'),
    uidHeaders: jsonList(data, 'requestheader-uid-headers'),
  };
}

function jsonList(data: Readonly<Record<string, string>>, key: string): readonly string[] {
  const text = data[key];
  if (!text) return [];
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list) && list.every((each) => typeof each === 'string')) return list;
  } catch {
    // Told below: empty would mean "any name".
  }
  throw new CrashcartError(
    reasons.Unavailable,
    `kube-system/extension-apiserver-authentication: ${key} is not a JSON list of strings`,
  );
}

export interface FollowOptions {
  readonly client: Pick<KubeClient, 'request'>;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly onChange: (config: RequestHeaderConfig) => void;
  readonly periodMs?: number;
  readonly retryMs?: number;
}

/**
 * Reads it, and again every minute, and calls `onChange` for the first and for every other content. Resolves when the first has
 * been read. (A watch would need `list` on kube-system's ConfigMaps.)
 */
export async function followRequestHeaderConfig(options: FollowOptions): Promise<void> {
  const first = Promise.withResolvers<void>();
  void follow(options, first.resolve);
  await first.promise;
}

async function follow(options: FollowOptions, onFirst: () => void): Promise<void> {
  const { client, log, signal, onChange, periodMs = 60_000, retryMs = 1_000 } = options;
  let last = '';
  while (!signal.aborted) {
    try {
      const config = await readRequestHeaderConfig(client, signal);
      const text = JSON.stringify(config);
      if (text !== last) onChange(config);
      last = text;
      onFirst();
    } catch (caught) {
      if (!signal.aborted) log.warn('request-header configuration not read', { error: describe(caught) });
    }
    await sleep(last === '' ? retryMs : periodMs, undefined, { signal }).catch(() => {});
  }
  onFirst();
}
