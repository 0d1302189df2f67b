import type { Server } from 'node:http';
import type { Registry } from 'prom-client';
import { describe } from '../base/errors.ts';
import { servePages } from '../base/plain-server.ts';

/** Why the agent could not serve a session now; undefined: it could. */
export type Check = () => Promise<string | undefined>;

export interface HealthOptions {
  readonly port: number;
  readonly registry: Registry;
  readonly checks: Readonly<Record<string, Check>>;
}

/** Serves /metrics, /healthz (the process answers) and /readyz (a session could start now; else 503 and one line a reason). */
export const serveHealth = ({ port, registry, checks }: HealthOptions): Promise<Server> =>
  servePages(port, {
    '/healthz': () => ({ text: 'ok\n' }),
    '/readyz': async () => {
      const problems = await runChecks(checks);
      return problems.length === 0 ? { text: 'ok\n' } : { status: 503, text: problems.join('') };
    },
    '/metrics': async () => ({ type: registry.contentType, text: await registry.metrics() }),
  });

async function runChecks(checks: HealthOptions['checks']): Promise<readonly string[]> {
  const lines = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      const problem = await check().catch(describe);
      return problem === undefined ? [] : [`${name}: ${problem}\n`];
    }),
  );
  return lines.flat();
}
