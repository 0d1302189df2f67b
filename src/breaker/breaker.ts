import { setTimeout as sleep } from 'node:timers/promises';
import { apiServiceName, breakerConfigMap, fieldManager } from '../api/names.ts';
import { describe } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { apply } from '../kube/apply.ts';
import type { KubeClient } from '../kube/client.ts';
import type { EventRecorder } from '../kube/events.ts';
import { isCode } from '../kube/kube-error.ts';
import { resourcePath } from '../kube/paths.ts';
import {
  type ApiService,
  isAvailable,
  parseWithdrawn,
  unavailableForMs,
  type Withdrawn,
  withdrawnOf,
} from './api-service.ts';
import { decide } from './decide.ts';

export interface BreakerOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly probe: () => Promise<boolean>;
  /** How long the API may be unavailable. */
  readonly afterMs: number;
  readonly onState?: (state: BreakerState) => void;
  readonly wallClock?: () => number;
}

export interface BreakerState {
  readonly available: boolean;
  readonly withdrawn: boolean;
  /** By this process, since its start. */
  readonly withdrawals: number;
}

const lookEveryMs = 5_000;
/** Available for so long, it is well again, and the next failure is a first one. */
const wellAfterMs = 10 * 60_000;
const recordKey = 'apiservice.json';
const manager = 'crashcart-breaker';
const apiVersion = 'apiregistration.k8s.io/v1';
const path = resourcePath(apiVersion, 'apiservices', { name: apiServiceName });

/**
 * An aggregated API that does not answer holds every deletion of a namespace in the cluster. This takes it away when it has not answered for too long,
 * and puts it back when it answers again. A process of its own: what runs in the backend dies with it.
 */
export class Breaker {
  readonly #options: Required<Omit<BreakerOptions, 'onState'>> & Pick<BreakerOptions, 'onState'>;
  readonly #recordPath: string;
  #withdrawals = 0;
  #recent = 0;
  #availableSinceMs: number | undefined;

  constructor(options: BreakerOptions) {
    this.#options = { wallClock: Date.now, ...options };
    this.#recordPath = resourcePath('v1', 'configmaps', { namespace: options.namespace, name: breakerConfigMap });
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look().catch((caught) => this.#options.log.warn('could not look', { error: describe(caught) }));
      await sleep(lookEveryMs, undefined, { signal }).catch(() => {});
    }
  }

  /** One look, and what follows from it. */
  async look(): Promise<void> {
    const { probe, afterMs, wallClock, onState } = this.#options;
    const nowMs = wallClock();
    const [found, record] = await Promise.all([this.#read(), this.#record()]);
    this.#noteHealth(found, nowMs);
    const decision = decide(
      {
        apiService: found ? { unavailableForMs: unavailableForMs(found, nowMs) } : 'absent',
        withdrawn: record !== undefined,
        backendAnswers: !found && record !== undefined && (await probe()),
        withdrawnForMs: record ? nowMs - Date.parse(record.at) : 0,
        withdrawals: Math.max(this.#recent, record ? 1 : 0),
      },
      afterMs,
    );
    if (decision === 'withdraw' && found) await this.#withdraw(found, nowMs);
    else if (decision === 'restore' && record) await this.#restore(record);
    else if (decision === 'forget') await this.#write(undefined);
    onState?.({
      available: found !== undefined && isAvailable(found),
      withdrawn: decision === 'withdraw' || (record !== undefined && decision === 'wait'),
      withdrawals: this.#withdrawals,
    });
  }

  #noteHealth(found: ApiService | undefined, nowMs: number): void {
    if (!found || !isAvailable(found)) {
      this.#availableSinceMs = undefined;
      return;
    }
    this.#availableSinceMs ??= nowMs;
    if (nowMs - this.#availableSinceMs >= wellAfterMs) this.#recent = 0;
  }

  async #withdraw(found: ApiService, nowMs: number): Promise<void> {
    const { client, log } = this.#options;
    // Without a record nobody can put it back but helm; that is better than a cluster in which no namespace can be deleted.
    await this.#write(withdrawnOf(found, new Date(nowMs).toISOString())).catch((caught) =>
      log.error('no record of the APIService: put it back with "helm upgrade"', { error: describe(caught) }),
    );
    const { uid } = found.metadata;
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', ...(uid ? { preconditions: { uid } } : {}) };
    await client.request({ method: 'DELETE', path, body, idempotent: true }).catch((caught) => {
      if (!isCode(caught, 404)) throw caught;
    });
    this.#withdrawals++;
    this.#recent++;
    const why = found.status?.conditions?.find(({ type }) => type === 'Available')?.message ?? '';
    log.error('APIService withdrawn: it held every deletion of a namespace', { name: apiServiceName, why });
    this.#event(
      'Warning',
      'APIServiceWithdrawn',
      `nobody can attach to sessions until its backend answers again: ${why}`,
    );
  }

  async #restore({ manager: maker, labels, annotations, spec, caBundle }: Withdrawn): Promise<void> {
    const { client, log } = this.#options;
    const object = (metadata: object, content: object) => ({
      apiVersion,
      kind: 'APIService',
      metadata: { name: apiServiceName, ...metadata },
      spec: content,
    });
    // In the names of those who had written its fields, so that the next upgrade and the next renewal find their own.
    await apply(client, path, object({ labels, annotations }, spec), { manager: maker });
    if (caBundle) await apply(client, path, object({}, { caBundle }), { manager: fieldManager });
    await this.#write(undefined);
    log.info('APIService restored', { name: apiServiceName });
    this.#event('Normal', 'APIServiceRestored', 'its backend answers again');
  }

  async #read(): Promise<ApiService | undefined> {
    try {
      return (await this.#options.client.request({ method: 'GET', path })) as ApiService;
    } catch (caught) {
      if (isCode(caught, 404)) return undefined;
      throw caught;
    }
  }

  async #record(): Promise<Withdrawn | undefined> {
    const found = (await this.#options.client.request({ method: 'GET', path: this.#recordPath })) as {
      data?: Readonly<Record<string, string>>;
    };
    return parseWithdrawn(found.data?.[recordKey]);
  }

  async #write(record: Withdrawn | undefined): Promise<void> {
    const { client, namespace } = this.#options;
    const data = record ? { [recordKey]: JSON.stringify(record) } : {};
    const metadata = { name: breakerConfigMap, namespace };
    await apply(client, this.#recordPath, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data }, { manager });
  }

  /** On the record: an APIService has no namespace, and its Events would be where nobody looks. */
  #event(type: 'Normal' | 'Warning', reason: string, text: string): void {
    const { events, namespace } = this.#options;
    const about = { apiVersion: 'v1', kind: 'ConfigMap', namespace, name: breakerConfigMap, uid: '' };
    events.record(about, { type, reason, message: `APIService ${apiServiceName}: ${text}` });
  }
}
