import type { Server } from 'node:http';
import type { Registry } from 'prom-client';
import { servePages } from '../base/plain-server.ts';

export interface HealthOptions {
  readonly registry: Registry;
  /**
   * API listener up, serving certificate and request-header CA loaded, and nothing else: a replica that leaves the Service because
   * of an agent, a CRD or the leader takes the discovery documents with it, and those are everybody's in the cluster.
   */
  readonly ready: () => boolean;
}

/** Plain HTTP for the kubelet and for Prometheus. */
export const serveHealth = (port: number, { registry, ready }: HealthOptions): Promise<Server> =>
  servePages(port, {
    '/healthz': () => ({ text: 'ok' }),
    '/readyz': () => (ready() ? { text: 'ok' } : { status: 503, text: 'not ready' }),
    '/metrics': async () => ({ type: registry.contentType, text: await registry.metrics() }),
  });
