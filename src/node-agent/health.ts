import { once } from 'node:events';
import type { Server } from 'node:http';
import express from 'express';
import type { Registry } from 'prom-client';
import { describe } from '../base/errors.ts';

/** Why the agent could not serve a session now; undefined: it could. */
export type Check = () => Promise<string | undefined>;

export interface HealthOptions {
  readonly port: number;
  readonly registry: Registry;
  readonly checks: Readonly<Record<string, Check>>;
}

/** Serves /metrics, /healthz (the process answers) and /readyz (a session could start now; else 503 and one line a reason). */
export async function serveHealth({ port, registry, checks }: HealthOptions): Promise<Server> {
  const app = express();
  app.disable('x-powered-by');
  app.get('/healthz', (_request, response) => {
    response.type('text/plain').send('ok\n');
  });
  app.get('/readyz', async (_request, response) => {
    const problems = await runChecks(checks);
    response
      .status(problems.length === 0 ? 200 : 503)
      .type('text/plain')
      .send(problems.length === 0 ? 'ok\n' : problems.join(''));
  });
  app.get('/metrics', async (_request, response) => {
    response.type(registry.contentType).send(await registry.metrics());
  });
  const server = app.listen(port);
  await once(server, 'listening');
  return server;
}

async function runChecks(checks: HealthOptions['checks']): Promise<readonly string[]> {
  const lines = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      const problem = await check().catch(describe);
      return problem === undefined ? [] : [`${name}: ${problem}\n`];
    }),
  );
  return lines.flat();
}
