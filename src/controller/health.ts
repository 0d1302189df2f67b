import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import express from 'express';
import type { Registry } from 'prom-client';

export interface HealthOptions {
  readonly registry: Registry;
  /**
   * API listener up, serving certificate and request-header CA loaded, and nothing else: a replica that leaves the Service because
   * of an agent, a CRD or the leader takes the discovery documents with it, and those are everybody's in the cluster.
   */
  readonly ready: () => boolean;
}

/** Plain HTTP for the kubelet and for Prometheus. */
export async function serveHealth(port: number, { registry, ready }: HealthOptions): Promise<Server> {
  const app = express();
  app.disable('x-powered-by');
  app.get('/healthz', (_request, response) => {
    response.type('text/plain').send('ok');
  });
  app.get('/readyz', (_request, response) => {
    const isReady = ready();
    response
      .status(isReady ? 200 : 503)
      .type('text/plain')
      .send(isReady ? 'ok' : 'not ready');
  });
  app.get('/metrics', async (_request, response) => {
    response.type(registry.contentType).send(await registry.metrics());
  });
  const server = createServer(app);
  server.listen(port);
  await once(server, 'listening');
  return server;
}
