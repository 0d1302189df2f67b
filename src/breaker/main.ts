import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { Command, InvalidArgumentError } from 'commander';
import { Gauge, Registry } from 'prom-client';
import packageJson from '../../package.json' with { type: 'json' };
import { defaultNamespace, gatewayService } from '../api/names.ts';
import { parseDuration } from '../base/duration.ts';
import { describe } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { createKubeClient } from '../kube/client.ts';
import { createEventRecorder } from '../kube/events.ts';
import { inClusterConnection } from '../kube/in-cluster.ts';
import { Breaker, type BreakerState } from './breaker.ts';
import { backendAnswers } from './probe.ts';

interface Config {
  readonly namespace: string;
  readonly podName: string;
  readonly after: number;
  readonly caFile: string;
  readonly metricsPort: string;
}

function parseConfig(): Config {
  const { env } = process;
  return new Command('crashcart-breaker')
    .description('Takes the aggregated API away while it does not answer, and puts it back.')
    .version(packageJson.version)
    .option('--namespace <name>', 'namespace of the installation', env['POD_NAMESPACE'] ?? defaultNamespace)
    .option('--pod-name <name>', 'name of this replica', env['POD_NAME'] ?? 'breaker')
    .option('--after <duration>', 'how long it may be unavailable', duration, 90_000)
    .option('--ca-file <file>', 'what the API server checks the backend against', '/ca/ca.crt')
    .option('--metrics-port <port>', '/metrics and /healthz, plain HTTP', '9090')
    .parse()
    .opts<Config>();
}

function duration(text: string): number {
  const value = parseDuration(text);
  if (value !== undefined && value >= 5_000) return value;
  throw new InvalidArgumentError('a duration of at least 5s, such as 90s or 2m');
}

async function main(): Promise<void> {
  const { namespace, podName, after, caFile, metricsPort } = parseConfig();
  const log = createLogger({ replica: podName });
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
  const client = createKubeClient(await inClusterConnection(), `crashcart-breaker/${packageJson.version}`);
  const events = createEventRecorder({ client, instance: podName, log });
  let state: BreakerState = { available: false, withdrawn: false, withdrawals: 0 };
  const server = await serveMetrics(Number(metricsPort), () => state);
  const probe = () => backendAnswers({ host: `${gatewayService}.${namespace}.svc`, port: 443, caFile });
  const onState = (now: BreakerState): void => {
    state = now;
  };
  log.info('watching the aggregated API', { afterMs: after });
  await new Breaker({ client, namespace, log, events, probe, afterMs: after, onState }).run(stop.signal);
  await events.flush();
  server.close();
  client.close();
}

async function serveMetrics(port: number, state: () => BreakerState): Promise<Server> {
  const registry = new Registry();
  const gauge = (name: string, help: string, read: (now: BreakerState) => boolean | number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(Number(read(state())));
      },
    });
  };
  gauge(
    'crashcart_apiservice_available',
    '1 while the API server finds the aggregated API available.',
    (now) => now.available,
  );
  gauge('crashcart_apiservice_withdrawn', '1 while it is withdrawn: nobody can attach.', (now) => now.withdrawn);
  gauge('crashcart_apiservice_withdrawals', 'How often it was withdrawn since the start.', (now) => now.withdrawals);
  const server = createServer((request, response) => {
    if (request.url === '/healthz') response.end('ok');
    else if (request.url !== '/metrics') response.writeHead(404).end();
    else {
      response.setHeader('content-type', registry.contentType);
      void registry.metrics().then((text) => response.end(text));
    }
  });
  server.listen(port);
  await once(server, 'listening');
  return server;
}

main().then(
  () => process.exit(0),
  (caught: unknown) => {
    createLogger().error('the breaker ends', { error: describe(caught) });
    process.exit(1);
  },
);
