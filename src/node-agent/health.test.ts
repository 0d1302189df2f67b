import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import type { ObservedSession } from '../wire/agent-protocol.ts';
import { type Check, serveHealth } from './health.ts';
import { createMetrics } from './metrics.ts';

const session = (phase: ObservedSession['phase']): ObservedSession => ({
  uid: phase,
  namespace: 'default',
  name: phase,
  phase,
  attached: 2,
  cleanedUp: false,
});

async function serve(checks: Readonly<Record<string, Check>>) {
  const metrics = createMetrics('1.2.3', () => [session('Running'), session('Failed')]);
  const server = await serveHealth({ port: 0, registry: metrics.registry, checks });
  const { port } = server.address() as AddressInfo;
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: response.status, body: await response.text() };
  };
  return { metrics, get, [Symbol.dispose]: () => server.close() };
}

test('an agent is alive while it answers, and ready while nothing speaks against it', async () => {
  let tunnel: string | undefined = 'no gateway is connected';
  using agent = await serve({ tunnel: async () => tunnel, runtime: async () => undefined });
  expect(await agent.get('/healthz')).toEqual({ status: 200, body: 'ok\n' });
  expect(await agent.get('/readyz')).toEqual({ status: 503, body: 'tunnel: no gateway is connected\n' });
  tunnel = undefined;
  expect(await agent.get('/readyz')).toEqual({ status: 200, body: 'ok\n' });
});

test('a check that fails is a reason like any other', async () => {
  using agent = await serve({ runtime: () => Promise.reject(new Error('socket gone')) });
  expect(await agent.get('/readyz')).toEqual({ status: 503, body: 'runtime: socket gone\n' });
});

test('the metrics count sessions, clients, bytes, starts and what the kernel can do', async () => {
  using agent = await serve({});
  agent.metrics.launched('running', 30);
  agent.metrics.transferred('out', 5);
  agent.metrics.teardownFailed();
  agent.metrics.tunnels(2);
  agent.metrics.kernelFeatures({ 'erofs-file': true, 'cgroup.kill': false });
  const { body } = await agent.get('/metrics');
  for (const line of [
    'crashcart_agent_sessions{phase="Running"} 1',
    'crashcart_agent_sessions{phase="Preparing"} 0',
    'crashcart_agent_clients 4',
    'crashcart_agent_session_start_seconds_bucket{le="0.03",outcome="running"} 1',
    'crashcart_agent_bytes_total{direction="out"} 5',
    'crashcart_agent_teardown_failures_total 1',
    'crashcart_agent_tunnels 2',
    'crashcart_agent_kernel_feature{feature="cgroup.kill"} 0',
    'crashcart_agent_build_info{version="1.2.3"} 1',
  ]) {
    expect(body).toContain(line);
  }
});
