import { setTimeout as sleep } from 'node:timers/promises';
import {
  apiServiceName,
  caConfigMap,
  caConfigMapKey,
  caSecret,
  gatewayService,
  servingSecret,
  tunnelService,
} from '../api/names.ts';
import { describe } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { apply } from '../kube/apply.ts';
import type { KubeClient } from '../kube/client.ts';
import { isCode } from '../kube/kube-error.ts';
import { resourcePath } from '../kube/paths.ts';
import {
  authorityIsDue,
  expiresAtMs,
  type KeyPair,
  makeAuthority,
  makeServing,
  servingIsDue,
  servingLifetimeMs,
} from './authority.ts';

export interface CertificatesOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly log: Logger;
  readonly wallClock?: () => number;
  /** Of a serving certificate; renewed when a third of it is left. Default 30 days. */
  readonly lifetimeMs?: number;
  /** Whether there is an APIService that must trust our authority. */
  readonly aggregated: boolean;
}

const keepPeriodMs = 60_000;
const retryMs = 2_000;
/** A replica that waits for its first certificate asks often: its readiness hangs on it. */
const firstLookMs = 300;
const lookAgainMs = 30_000;

const servingNames = (namespace: string): readonly string[] =>
  [gatewayService, tunnelService].map((service) => `${service}.${namespace}.svc`);

/**
 * The leader's part where another (cert-manager) makes the serving certificate and injects its authority into the APIService: the agents trust the
 * authority that comes with the certificate.
 */
export async function publishForeignAuthority(
  { client, namespace, log }: CertificatesOptions,
  signal: AbortSignal,
): Promise<void> {
  let last = '';
  while (!signal.aborted) {
    try {
      const found = await readSecret(client, namespace, servingSecret);
      const ca = Buffer.from(found?.data?.['ca.crt'] ?? '', 'base64').toString('utf8');
      if (found && ca === '')
        log.warn('the secret has no ca.crt, so the agents do not know whom to trust', { name: servingSecret });
      if (ca !== '' && ca !== last) {
        await publishForAgents(client, namespace, ca);
        last = ca;
        log.info('the agents trust the authority of the serving certificate', { name: servingSecret });
      }
    } catch (caught) {
      log.warn('authority not published, trying again', { error: describe(caught) });
    }
    await sleep(last === '' ? retryMs : lookAgainMs, undefined, { signal }).catch(() => {});
  }
}

/** The leader's part: sees to it, again and again, that authority, serving certificate and those who trust them are in order. */
export async function keepCertificates(options: CertificatesOptions, signal: AbortSignal): Promise<void> {
  const { log } = options;
  while (!signal.aborted) {
    let pauseMs = Math.min(keepPeriodMs, lookOftenMs(options));
    try {
      await keepOnce(options);
    } catch (caught) {
      log.warn('certificates not in order, trying again', { error: describe(caught) });
      pauseMs = retryMs;
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => {});
  }
}

/** Short lives are looked at more often: several times in the third that is left for the renewal. */
const lookOftenMs = ({ lifetimeMs = servingLifetimeMs }: Pick<CertificatesOptions, 'lifetimeMs'>): number =>
  lifetimeMs / 12;

async function keepOnce({
  client,
  namespace,
  log,
  lifetimeMs,
  aggregated,
  wallClock = Date.now,
}: CertificatesOptions): Promise<void> {
  const now = wallClock();
  const secrets = new TlsSecrets(client, namespace, log);
  const authority = await secrets.ensure(
    caSecret,
    (pair) => authorityIsDue(pair, now),
    (previous) => makeAuthority(now, previous),
  );
  const names = servingNames(namespace);
  // The agents and the API server learn of a new authority before anything is served with it.
  await Promise.all([
    publishForAgents(client, namespace, authority.cert),
    aggregated ? publishForAggregator(client, authority.cert, log) : undefined,
  ]);
  await secrets.ensure(
    servingSecret,
    (pair) => servingIsDue(pair, authority, names, now),
    () => makeServing(authority, names, now, lifetimeMs),
  );
}

async function publishForAgents(client: KubeClient, namespace: string, ca: string): Promise<void> {
  const path = resourcePath('v1', 'configmaps', { namespace, name: caConfigMap });
  const metadata = { name: caConfigMap, namespace };
  await apply(client, path, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { [caConfigMapKey]: ca } });
}

const apiServicePath = resourcePath('apiregistration.k8s.io/v1', 'apiservices', { name: apiServiceName });

async function publishForAggregator(client: KubeClient, ca: string, log: Logger): Promise<void> {
  const caBundle = Buffer.from(ca).toString('base64');
  try {
    const current = (await client.request({ method: 'GET', path: apiServicePath })) as { spec?: { caBundle?: string } };
    if (current.spec?.caBundle === caBundle) return;
  } catch (caught) {
    if (!isCode(caught, 404)) throw caught;
    // The chart makes it; we must not hold the right to.
    log.warn('there is no APIService, so nobody can attach: install it again with "helm upgrade"', {
      name: apiServiceName,
    });
    return;
  }
  await apply(client, apiServicePath, {
    apiVersion: 'apiregistration.k8s.io/v1',
    kind: 'APIService',
    metadata: { name: apiServiceName },
    spec: { caBundle },
  });
  log.info('APIService trusts our authority', { name: apiServiceName });
}

interface Secret {
  readonly metadata: { readonly resourceVersion: string };
  readonly data?: Readonly<Record<string, string>>;
}

class TlsSecrets {
  readonly #client: KubeClient;
  readonly #namespace: string;
  readonly #log: Logger;

  constructor(client: KubeClient, namespace: string, log: Logger) {
    this.#client = client;
    this.#namespace = namespace;
    this.#log = log;
  }

  /** What is there, unless it `isDue`. Two replicas that make one at once: the second gets a 409 and takes the first one's. */
  async ensure(
    name: string,
    isDue: (pair: KeyPair) => boolean,
    make: (previous: KeyPair | undefined) => Promise<KeyPair>,
  ): Promise<KeyPair> {
    const found = await readSecret(this.#client, this.#namespace, name);
    const previous = found && pairOf(found);
    if (previous && !isDue(previous)) return previous;
    const pair = await make(previous);
    await this.#write(name, pair, found?.metadata.resourceVersion);
    this.#log.info('certificate made', { name, until: new Date(expiresAtMs(pair) ?? 0).toISOString() });
    return pair;
  }

  async #write(name: string, { key, cert }: KeyPair, resourceVersion: string | undefined): Promise<void> {
    const namespace = this.#namespace;
    await this.#client.request({
      method: resourceVersion === undefined ? 'POST' : 'PUT',
      path: resourcePath('v1', 'secrets', { namespace, ...(resourceVersion === undefined ? {} : { name }) }),
      body: {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name, namespace, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
        type: 'kubernetes.io/tls',
        data: { 'tls.crt': Buffer.from(cert).toString('base64'), 'tls.key': Buffer.from(key).toString('base64') },
      },
    });
  }
}

async function readSecret(client: KubeClient, namespace: string, name: string): Promise<Secret | undefined> {
  try {
    const path = resourcePath('v1', 'secrets', { namespace, name });
    return (await client.request({ method: 'GET', path })) as Secret;
  } catch (caught) {
    if (isCode(caught, 404)) return undefined;
    throw caught;
  }
}

function pairOf({ data }: Secret): KeyPair {
  const text = (key: string): string => Buffer.from(data?.[key] ?? '', 'base64').toString('utf8');
  return { key: text('tls.key'), cert: text('tls.crt') };
}

/** Every replica's part: calls `onChange` with the first usable serving certificate and with each later one. */
export async function followServingCertificate(
  { client, namespace, log, lifetimeMs = servingLifetimeMs }: Omit<CertificatesOptions, 'aggregated'>,
  onChange: (pair: KeyPair, expiresAtMs: number) => void,
  signal: AbortSignal,
): Promise<void> {
  let last = '';
  while (!signal.aborted) {
    let pauseMs = firstLookMs;
    try {
      const found = await readSecret(client, namespace, servingSecret);
      const pair = found && pairOf(found);
      const until = pair && expiresAtMs(pair);
      if (pair && pair.key !== '' && until !== undefined && pair.cert !== last) {
        onChange(pair, until);
        last = pair.cert;
        log.info('serving certificate loaded', { until: new Date(until).toISOString() });
      }
    } catch (caught) {
      if (!signal.aborted) log.warn('serving certificate not read', { error: describe(caught) });
      pauseMs = retryMs;
    }
    await sleep(last === '' ? pauseMs : Math.min(lookAgainMs, lookOftenMs({ lifetimeMs })), undefined, {
      signal,
    }).catch(() => {});
  }
}
