import { setTimeout as pause } from 'node:timers/promises';
import { CrashcartError, describe, reasons } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { KubeClient } from './client.ts';
import { isCode } from './kube-error.ts';
import { resourcePath } from './paths.ts';

export interface ElectionOptions {
  readonly client: Pick<KubeClient, 'request'>;
  readonly namespace: string;
  readonly name: string;
  /**
   * Ours alone. The pod's name will do: the kubelet starts a pod's next container only after the one before is dead, and
   * with the same identity that one goes on at once instead of waiting for its own lease to run out.
   */
  readonly identity: string;
  readonly log: Logger;
  /** Others wait this long after the last renewal that they saw. */
  readonly leaseDurationMs?: number;
  /** A holder that could not renew for so long stops: shorter than `leaseDurationMs`, so that there are never two. */
  readonly renewDeadlineMs?: number;
  readonly retryMs?: number;
  /** Monotonic milliseconds. */
  readonly now?: () => number;
  readonly wallClock?: () => Date;
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}
interface Lease {
  readonly metadata: { readonly resourceVersion: string };
  readonly spec?: LeaseSpec;
}

const interruptibleSleep = async (ms: number, signal: AbortSignal): Promise<void> => {
  await pause(ms, undefined, { signal }).catch(() => {});
};

/**
 * Leader election by a Lease. Whether another holder is still alive is judged by our own monotonic clock since the last
 * change that we saw, never by times that it wrote. An election is no fence: the leader's writes must be idempotent.
 */
export class Election {
  readonly #options: Required<ElectionOptions>;
  readonly #path: string;
  #seenVersion = '';
  #seenAt = 0;
  #leading = false;

  constructor(options: ElectionOptions) {
    this.#options = {
      leaseDurationMs: 15_000,
      renewDeadlineMs: 10_000,
      retryMs: 2_000,
      now: () => performance.now(),
      wallClock: () => new Date(),
      sleep: interruptibleSleep,
      ...options,
    };
    this.#path = resourcePath('coordination.k8s.io/v1', 'leases', { namespace: options.namespace });
  }

  get leading(): boolean {
    return this.#leading;
  }

  /**
   * Waits to be elected, then calls `lead` once and keeps renewing until `signal` is aborted. Then it waits for `lead` (its own
   * signal is aborted first), gives the lease back and resolves. Rejects with `Unavailable` when the lease is lost: the
   * process must exit, because what it has under way cannot be called back.
   */
  async run(signal: AbortSignal, lead: (signal: AbortSignal) => Promise<void>): Promise<void> {
    while (!(await this.#tryOnce(signal))) {
      if (signal.aborted) return;
      await this.#options.sleep(this.#options.retryMs, signal);
      if (signal.aborted) return;
    }
    this.#leading = true;
    this.#options.log.info('elected', { lease: this.#options.name });
    const term = new AbortController();
    const stop = (): void => term.abort();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    const failed = Promise.withResolvers<never>();
    const work = lead(term.signal);
    work.catch(failed.reject);
    try {
      await Promise.race([this.#renewUntil(term.signal), failed.promise]);
      await work;
      await this.#release();
    } finally {
      signal.removeEventListener('abort', stop);
      term.abort();
      this.#leading = false;
    }
  }

  async #renewUntil(signal: AbortSignal): Promise<void> {
    const { now, sleep, retryMs, renewDeadlineMs } = this.#options;
    let renewedAt = now();
    while (!signal.aborted) {
      await sleep(retryMs, signal);
      if (signal.aborted) return;
      const askedAt = now();
      if (await this.#tryOnce(signal, renewDeadlineMs - (askedAt - renewedAt))) renewedAt = askedAt;
      if (now() - renewedAt >= renewDeadlineMs && !signal.aborted) {
        throw new CrashcartError(
          reasons.Unavailable,
          'the leader lease could not be renewed in time: another replica takes over',
        );
      }
    }
  }

  /** Takes or renews the lease; false: another one holds it, or the server did not let us. Never throws. */
  async #tryOnce(signal: AbortSignal, timeoutMs = 5_000): Promise<boolean> {
    const { log, identity, name } = this.#options;
    const bounds = { signal, timeoutMs: Math.max(100, Math.min(5_000, timeoutMs)) };
    try {
      const lease = await this.#read(bounds);
      if (!lease) {
        await this.#write('POST', undefined, this.#spec(undefined), bounds);
        return true;
      }
      this.#observe(lease);
      const holder = lease.spec?.holderIdentity;
      if (holder && holder !== identity && !this.#expired(lease)) return false;
      await this.#write('PUT', lease.metadata.resourceVersion, this.#spec(lease.spec), bounds);
      return true;
    } catch (caught) {
      // 409: another replica was faster.
      if (!signal.aborted && !isCode(caught, 409))
        log.warn('lease not renewed', { lease: name, error: describe(caught) });
      return false;
    }
  }

  #observe({ metadata }: Lease): void {
    if (metadata.resourceVersion === this.#seenVersion) return;
    this.#seenVersion = metadata.resourceVersion;
    this.#seenAt = this.#options.now();
  }

  #expired({ spec }: Lease): boolean {
    const durationMs = spec?.leaseDurationSeconds ? spec.leaseDurationSeconds * 1_000 : this.#options.leaseDurationMs;
    return this.#options.now() - this.#seenAt >= durationMs;
  }

  #spec(previous: LeaseSpec | undefined): LeaseSpec {
    const { identity, leaseDurationMs, wallClock } = this.#options;
    // V1MicroTime: six digits, or the server refuses it.
    const time = wallClock().toISOString().replace('Z', '000Z');
    const ours = previous?.holderIdentity === identity;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseDurationMs / 1_000),
      acquireTime: (ours ? previous?.acquireTime : undefined) ?? time,
      renewTime: time,
      leaseTransitions: (previous?.leaseTransitions ?? 0) + (previous && !ours ? 1 : 0),
    };
  }

  /** So that the next one need not wait for the end of the lease. */
  async #release(): Promise<void> {
    const bounds = { signal: AbortSignal.timeout(2_000), timeoutMs: 2_000 };
    try {
      const lease = await this.#read(bounds);
      if (lease?.spec?.holderIdentity !== this.#options.identity) return;
      const spec = { ...this.#spec(lease.spec), holderIdentity: '', leaseDurationSeconds: 1 };
      await this.#write('PUT', lease.metadata.resourceVersion, spec, bounds);
      this.#options.log.info('lease released', { lease: this.#options.name });
    } catch (caught) {
      this.#options.log.warn('lease not released', { error: describe(caught) });
    }
  }

  async #read(bounds: Bounds): Promise<Lease | undefined> {
    try {
      const path = `${this.#path}/${encodeURIComponent(this.#options.name)}`;
      return (await this.#options.client.request({ method: 'GET', path, idempotent: false, ...bounds })) as Lease;
    } catch (caught) {
      if (isCode(caught, 404)) return undefined;
      throw caught;
    }
  }

  async #write(
    method: 'POST' | 'PUT',
    resourceVersion: string | undefined,
    spec: LeaseSpec,
    bounds: Bounds,
  ): Promise<void> {
    const { client, name, namespace } = this.#options;
    const written = (await client.request({
      method,
      path: method === 'POST' ? this.#path : `${this.#path}/${encodeURIComponent(name)}`,
      body: {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name, namespace, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
        spec,
      },
      ...bounds,
    })) as Lease;
    this.#observe(written);
  }
}

interface Bounds {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}
