import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Backoff } from '../../base/backoff.ts';
import { describe } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { KeepAliveOptions } from '../../wire/keep-alive.ts';
import { serveTunnel } from '../../wire/tunnel.ts';
import type { Recordings } from '../recording/recordings.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { dialGateway } from './dial.ts';
import { serveRequest } from './resources.ts';

export interface TunnelsOptions {
  readonly sessions: Sessions;
  /** Left out: this node records nothing. */
  readonly recordings?: Recordings;
  /** Name of the headless Service: one address a replica of the gateway. */
  readonly gateway: string;
  readonly port: number;
  /** The name in the gateways' certificate: crashcart-tunnel.NAMESPACE.svc. */
  readonly serverName: string;
  readonly caFile: string;
  readonly tokenFile: string;
  readonly version: string;
  /** New at every start of this process. */
  readonly instance: string;
  readonly log: Logger;
  /** Ends all tunnels; the sessions go on. */
  readonly signal: AbortSignal;
  /** Told of every change of the number of tunnels that are up: for metrics and readiness. */
  readonly onConnected?: (count: number) => void;
  readonly keepAlive?: KeepAliveOptions;
  /** The addresses of `gateway`. Default: the system's resolver, which knows the cluster's search domains. */
  readonly resolve?: (gateway: string) => Promise<readonly string[]>;
  /** Default 5 s. */
  readonly resolveEveryMs?: number;
}

/** A replica that restarts is back within seconds; a hundred agents must not fall on it in the same moment. */
const backoffMs = { initialMs: 200, maxMs: 5_000 } as const;
/** A tunnel that held this long was a good one: the next dial is immediate again. */
const goodTunnelMs = 5_000;
/** More replicas than anybody runs: what a resolver may answer is bounded like everything else. */
const maxGateways = 16;

/** Holds one tunnel to every replica of the gateway until `signal` is aborted; then resolves. */
export async function runTunnels(options: TunnelsOptions): Promise<void> {
  const tunnels = new Tunnels(options);
  const { signal, gateway, log, resolve = systemResolver, resolveEveryMs = 5_000 } = options;
  let lastProblem = '';
  while (!signal.aborted) {
    try {
      tunnels.want(await resolve(gateway));
      lastProblem = '';
    } catch (caught) {
      // What is connected stays: a resolver that is away says nothing about the gateways.
      const problem = describe(caught);
      if (problem !== lastProblem) log.warn('could not resolve the gateway', { gateway, error: problem });
      lastProblem = problem;
    }
    await sleep(resolveEveryMs, undefined, { signal }).catch(() => undefined);
  }
  await tunnels.ended();
}

const systemResolver = async (gateway: string): Promise<readonly string[]> =>
  (await lookup(gateway, { all: true })).map(({ address }) => address);

class Tunnels {
  readonly #options: TunnelsOptions;
  readonly #running = new Map<string, Promise<void>>();
  #wanted: ReadonlySet<string> = new Set();
  #connected = 0;

  constructor(options: TunnelsOptions) {
    this.#options = options;
  }

  /** Addresses that are gone keep their tunnel for as long as it lives; it is only not dialled again. */
  want(addresses: readonly string[]): void {
    this.#wanted = new Set(addresses.slice(0, maxGateways));
    for (const address of this.#wanted) {
      if (this.#running.has(address)) continue;
      const run = this.#hold(address).finally(() => this.#running.delete(address));
      this.#running.set(address, run);
    }
  }

  async ended(): Promise<void> {
    await Promise.all(this.#running.values());
  }

  async #hold(address: string): Promise<void> {
    const { signal } = this.#options;
    const log = this.#options.log.child({ gateway: address });
    const backoff = new Backoff(backoffMs);
    let lastProblem = '';
    while (!signal.aborted && this.#wanted.has(address)) {
      const startedAt = performance.now();
      try {
        await this.#tunnel(address, log);
        lastProblem = '';
      } catch (caught) {
        const problem = describe(caught);
        if (problem !== lastProblem) log.warn('no tunnel to the gateway', { error: problem });
        lastProblem = problem;
      }
      if (performance.now() - startedAt > goodTunnelMs) backoff.reset();
      await backoff.wait(signal);
    }
  }

  /** One tunnel, from its dial to its end. */
  async #tunnel(address: string, log: Logger): Promise<void> {
    const { signal, port, serverName, caFile, sessions, recordings, keepAlive } = this.#options;
    const socket = await dialGateway({ address, port, serverName, caFile });
    const session = serveTunnel(
      socket,
      (stream, headers) => {
        const identity = () => this.#identity();
        void serveRequest(stream, headers, { sessions, ...(recordings ? { recordings } : {}), log, identity });
      },
      keepAlive,
    );
    session.on('error', (error) => log.debug('tunnel failed', { error: describe(error) }));
    const stop = (): void => session.destroy();
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    this.#count(1);
    log.info('tunnel is up');
    try {
      if (!session.destroyed) await once(session, 'close');
      log.info('tunnel has ended');
    } finally {
      signal.removeEventListener('abort', stop);
      this.#count(-1);
    }
  }

  async #identity(): Promise<{ token: string; version: string; instance: string }> {
    const { tokenFile, version, instance } = this.#options;
    return { token: (await readFile(tokenFile, 'utf8')).trim(), version, instance };
  }

  #count(step: number): void {
    this.#connected += step;
    this.#options.onConnected?.(this.#connected);
  }
}
