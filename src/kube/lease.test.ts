import { describe, expect, test } from 'vitest';
import { CrashcartError, reasons } from '../base/errors.ts';
import { silentLogger } from '../base/log.ts';
import type { KubeRequest } from './client.ts';
import { KubeError } from './kube-error.ts';
import { Election } from './lease.ts';

interface Spec {
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  renewTime?: string;
  leaseTransitions?: number;
}

/** One Lease with optimistic locking, and a clock that only moves while somebody sleeps. */
class World {
  nowMs = 1_000;
  lease: { version: number; spec: Spec } | undefined;
  reachable = true;
  readonly writes: string[] = [];
  /** Called before each sleep: what happens in the world meanwhile. */
  onSleep: () => void = () => {};

  readonly client = {
    request: async ({ method, body }: KubeRequest): Promise<unknown> => {
      if (!this.reachable) throw new CrashcartError(reasons.Unavailable, 'no way to the API server');
      if (method === 'GET') {
        if (!this.lease) throw new KubeError(404, 'NotFound', 'none');
        return this.#object();
      }
      const { metadata, spec } = body as { metadata: { resourceVersion?: string }; spec: Spec };
      if (this.lease && metadata.resourceVersion !== String(this.lease.version))
        throw new KubeError(409, 'Conflict', 'other');
      this.set(spec);
      this.writes.push(spec.holderIdentity ?? '');
      return this.#object();
    },
  };

  set(spec: Spec): void {
    this.lease = { version: (this.lease?.version ?? 0) + 1, spec };
  }

  election(identity = 'me'): Election {
    return new Election({
      client: this.client,
      namespace: 'n',
      name: 'l',
      identity,
      log: silentLogger,
      now: () => this.nowMs,
      wallClock: () => new Date(1_700_000_000_000 + this.nowMs),
      sleep: async (ms) => {
        this.onSleep();
        this.nowMs += ms;
        await Promise.resolve();
      },
    });
  }

  #object(): unknown {
    return { metadata: { resourceVersion: String(this.lease?.version) }, spec: this.lease?.spec };
  }
}

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve());
  });

describe('an election', () => {
  test('takes a lease that does not exist, renews it every 2 s, and gives it back when told to stop', async () => {
    const world = new World();
    const stop = new AbortController();
    let sleeps = 0;
    world.onSleep = () => {
      if (++sleeps === 3) stop.abort();
    };
    await world.election().run(stop.signal, untilAborted);
    expect(world.writes).toEqual(['me', 'me', 'me', '']);
    expect(world.lease?.spec.leaseDurationSeconds).toBe(1);
    expect(world.lease?.spec.renewTime).toMatch(/\.\d{6}Z$/);
  });

  test('waits 15 s of its own clock since the last renewal that it saw, whatever the holder wrote', async () => {
    const world = new World();
    // Written by a clock far in the past: a comparison of times would take it at once.
    world.set({
      holderIdentity: 'other',
      leaseDurationSeconds: 15,
      renewTime: '2001-01-01T00:00:00.000000Z',
      leaseTransitions: 4,
    });
    const stop = new AbortController();
    let electedAt = 0;
    await world.election().run(stop.signal, async () => {
      electedAt = world.nowMs;
      stop.abort();
    });
    expect(electedAt - 1_000).toBeGreaterThanOrEqual(15_000);
    expect(electedAt - 1_000).toBeLessThanOrEqual(17_000);
    expect(world.lease?.spec.leaseTransitions).toBe(5);
  });

  test('does not take the lease of a holder that renews', async () => {
    const world = new World();
    world.set({ holderIdentity: 'other', leaseDurationSeconds: 15 });
    const stop = new AbortController();
    world.onSleep = () => {
      world.set({ holderIdentity: 'other', leaseDurationSeconds: 15 });
      if (world.nowMs > 60_000) stop.abort();
    };
    let led = false;
    await world.election().run(stop.signal, async () => {
      led = true;
    });
    expect(led).toBe(false);
    expect(world.writes).toEqual([]);
  });

  test('takes a lease that was given back at once', async () => {
    const world = new World();
    world.set({ holderIdentity: '', leaseDurationSeconds: 1 });
    const stop = new AbortController();
    await world.election().run(stop.signal, async () => stop.abort());
    expect(world.nowMs).toBe(1_000);
    expect(world.writes[0]).toBe('me');
  });

  test('goes on at once with its own lease after a crash', async () => {
    const world = new World();
    world.set({ holderIdentity: 'me', leaseDurationSeconds: 15 });
    const stop = new AbortController();
    await world.election().run(stop.signal, async () => stop.abort());
    expect(world.nowMs).toBe(1_000);
  });

  test('is over when it could not renew for 10 s: before another one may take it', async () => {
    const world = new World();
    world.onSleep = () => {
      world.reachable = false;
    };
    const election = world.election();
    let aborted = false;
    const run = election.run(new AbortController().signal, async (term) => {
      term.addEventListener('abort', () => {
        aborted = true;
      });
      await untilAborted(term);
    });
    await expect(run).rejects.toMatchObject({ reason: 'Unavailable' });
    expect(world.nowMs - 1_000).toBeGreaterThanOrEqual(10_000);
    expect(world.nowMs - 1_000).toBeLessThan(15_000);
    expect({ aborted, leading: election.leading }).toEqual({ aborted: true, leading: false });
  });

  test('survives an API server that is away for less than that', async () => {
    const world = new World();
    const stop = new AbortController();
    world.onSleep = () => {
      world.reachable = world.nowMs < 2_000 || world.nowMs > 8_000;
      if (world.nowMs > 30_000) stop.abort();
    };
    await expect(world.election().run(stop.signal, untilAborted)).resolves.toBeUndefined();
  });

  test('is over when another one has taken the lease', async () => {
    const world = new World();
    world.onSleep = () => world.set({ holderIdentity: 'other', leaseDurationSeconds: 15 });
    await expect(world.election().run(new AbortController().signal, untilAborted)).rejects.toMatchObject({
      reason: 'Unavailable',
    });
    expect(world.lease?.spec.holderIdentity).toBe('other');
  });

  test('ends with the error of the work that was led', async () => {
    const world = new World();
    const run = world.election().run(new AbortController().signal, async () => {
      throw new Error('broken');
    });
    await expect(run).rejects.toThrow('broken');
  });
});
