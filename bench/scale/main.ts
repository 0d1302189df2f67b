/** `make bench-scale`: how much a gateway carries. Real TLS and the real protocol on loopback; no cluster is needed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { tunnelName } from '../../test/support/gateway-loopback.ts';
import { createTestCa } from '../../test/support/pki.ts';
import { summarize } from '../statistics.ts';
import { type AgentsOptions, type GatewayOptions, Part, type Usage } from './process.ts';

const nodes = Number(process.env['NODES'] ?? 5_000);
const attaches = Number(process.env['ATTACHES'] ?? 1_000);
const nodesPerProcess = 1_250;
const sessionsPerNode = 20;
const startsPerSecond = 100;
const startSeconds = 20;
const quietMs = 30_000;
/** Nothing here takes so long, on whatever machine. */
const patienceMs = 600_000;
const gateways = ['127.0.0.1', '127.0.0.2'] as const;
const ports = { port: 23_443, tunnelPort: 23_444 };
const mb = (bytes: number): string => (bytes / 1e6).toFixed(0);
const say = (line: string): void => void process.stderr.write(`${line}\n`);

const directory = mkdtempSync(join(tmpdir(), 'crashcart-scale-'));
const parts: Part[] = [];
const start = async (file: string, options: object): Promise<Part> => {
  const part = await Part.start(file, options);
  parts.push(part);
  return part;
};

interface Setting {
  readonly gatewayOptions: (host: string) => GatewayOptions;
  readonly agents: (from: number, to: number, hosts: readonly string[], sessions: number) => AgentsOptions;
  readonly clients: (sessions: readonly string[]) => object;
}

async function setting(): Promise<Setting> {
  const [servingCa, proxyCa] = await Promise.all([createTestCa('serving'), createTestCa('front-proxy')]);
  const certificate = await servingCa.issue('crashcart', ['localhost', tunnelName]);
  const client = await proxyCa.issue('front-proxy-client');
  writeFileSync(join(directory, 'ca.crt'), servingCa.cert);
  return {
    gatewayOptions: (host) => ({ host, ...ports, certificate, clientCa: proxyCa.cert }),
    agents: (from, to, hosts, sessions) => ({
      from,
      to,
      sessions,
      gateways: hosts,
      tunnelPort: ports.tunnelPort,
      directory,
    }),
    clients: (sessions) => ({ port: ports.port, ca: servingCa.cert, client, sessions }),
  };
}

/** Milliseconds until it holds. */
async function until(what: string, holds: () => Promise<boolean>): Promise<number> {
  const from = performance.now();
  while (!(await holds())) {
    if (performance.now() - from > patienceMs) throw new Error(`${what}: not within ${patienceMs / 1_000} s`);
    await sleep(100);
  }
  return performance.now() - from;
}

const usage = (part: Part): Promise<Usage> => part.ask<Usage>('usage');
const connectedTo = (gateway: Part): Promise<number> => gateway.ask<number>('connected');

async function thousandAttaches({ gatewayOptions, agents, clients }: Setting): Promise<readonly string[]> {
  const count = Math.ceil(attaches / sessionsPerNode);
  const gateway = await start('gateway.ts', gatewayOptions(gateways[0]));
  const empty = await usage(gateway);
  await start('agents.ts', agents(0, count, [gateways[0]], sessionsPerNode));
  await until('agents connect', async () => (await connectedTo(gateway)) === count);
  const names = Array.from({ length: attaches }, (_, at) => `node-${at % count}-s${Math.floor(at / count)}`);
  const crowd = await start('clients.ts', clients(names));
  const from = performance.now();
  await crowd.ask('attach');
  const attachedMs = performance.now() - from;
  await sleep(5_000);
  const attached = await usage(gateway);
  const times = summarize(await crowd.ask<number[]>('type'));
  const typed = await usage(gateway);
  const open = await crowd.ask<number>('open');
  for (const part of parts.splice(0)) await part.kill();
  return [
    `### ${attaches} clients attached to one gateway`,
    '',
    `| | |`,
    `|---|---|`,
    `| memory of the gateway (RSS), empty | ${mb(empty.rssBytes)} MB |`,
    `| with ${open} clients attached through ${count} tunnels | ${mb(attached.rssBytes)} MB |`,
    `| after each of them typed ten keys, one a second | ${mb(typed.rssBytes)} MB |`,
    `| attaches a second, 32 at once, a TLS handshake each | ${((attaches / attachedMs) * 1_000).toFixed(0)} |`,
    `| echo of a key while all type | median ${times.median.toFixed(1)} ms, p99 ${times.p99.toFixed(1)} ms |`,
    '',
  ];
}

async function manyTunnels({ gatewayOptions, agents }: Setting): Promise<readonly string[]> {
  const [one, two] = await Promise.all(gateways.map((host) => start('gateway.ts', gatewayOptions(host))));
  if (!one || !two) throw new Error('two gateways are needed');
  const empty = await usage(two);
  const starts: Promise<Part>[] = [];
  for (let from = 0; from < nodes; from += nodesPerProcess) {
    starts.push(start('agents.ts', agents(from, Math.min(nodes, from + nodesPerProcess), gateways, 0)));
  }
  const crowd = await Promise.all(starts);
  const all = async (gateway: Part): Promise<boolean> => (await connectedTo(gateway)) === nodes;
  const firstMs = await until('all agents connect', async () => (await all(one)) && (await all(two)));
  say(`${nodes} agents on two gateways after ${(firstMs / 1_000).toFixed(1)} s`);
  await sleep(10_000);
  const before = await Promise.all([usage(two), ...crowd.map(usage)]);
  await sleep(quietMs);
  const after = await Promise.all([usage(two), ...crowd.map(usage)]);
  const gatewayCpu = ((after[0]?.cpuMs ?? 0) - (before[0]?.cpuMs ?? 0)) / quietMs;
  const perTunnel = ((after[0]?.rssBytes ?? 0) - empty.rssBytes) / nodes;
  const agentsRss = after.slice(1).reduce((sum, { rssBytes }) => sum + rssBytes, 0) / (2 * nodes);
  const dispatched = summarize(await two.ask<number[]>(`starts ${startsPerSecond} ${startSeconds}`));
  await one.kill();
  await until('the other one keeps its tunnels', () => all(two));
  const again = await start('gateway.ts', gatewayOptions(gateways[0]));
  const backMs = await until('all agents are back', () => all(again));
  const back = await usage(again);
  for (const part of parts.splice(0)) await part.kill();
  return [
    `### ${nodes} agents, a tunnel each to two gateways`,
    '',
    `| | |`,
    `|---|---|`,
    `| memory of a gateway (RSS): empty, then with ${nodes} tunnels | ${mb(empty.rssBytes)} MB, ${mb(after[0]?.rssBytes ?? 0)} MB |`,
    `| memory for each tunnel: in the gateway, at the agents' end | ${(perTunnel / 1_000).toFixed(0)} kB, ${(agentsRss / 1_000).toFixed(0)} kB |`,
    `| CPU of a gateway with quiet tunnels, a ping each way every 10 s | ${(gatewayCpu * 100).toFixed(1)} % of a core, ${((gatewayCpu * 1e6) / nodes).toFixed(0)} µs/s a tunnel |`,
    `| ${startsPerSecond} session starts a second for ${startSeconds} s, a request to the API server taking 5 ms: from the object to the agent's word | median ${dispatched.median.toFixed(1)} ms, p99 ${dispatched.p99.toFixed(1)} ms |`,
    `| all connected to both, from nothing | ${(firstMs / 1_000).toFixed(1)} s |`,
    `| one gateway killed and started again: all back after | ${(backMs / 1_000).toFixed(1)} s, ${(back.cpuMs / 1_000).toFixed(1)} s of its CPU; the other one lost none |`,
    '',
  ];
}

try {
  const given = await setting();
  const cpu = cpus();
  const print = (lines: readonly string[]): void => void process.stdout.write(`${lines.join('\n')}\n`);
  print([
    `${cpu.length} × ${cpu[0]?.model ?? 'cpu'}, Linux ${release()}; gateways, agents and clients share them.`,
    '',
  ]);
  print(await thousandAttaches(given));
  print(await manyTunnels(given));
} finally {
  for (const part of parts) await part.kill();
  rmSync(directory, { recursive: true });
}
