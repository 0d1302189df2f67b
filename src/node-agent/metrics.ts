import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ObservedPhase, ObservedSession } from '../wire/agent-protocol.ts';
import type { SessionsObserver } from './sessions/launch.ts';

/** Seconds: a start takes tens of milliseconds, and what takes over ten seconds is a node in trouble. */
const startBuckets = [0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];
const phases: readonly ObservedPhase[] = ['Preparing', 'Running', 'Finished', 'Failed'];

export interface AgentMetrics extends SessionsObserver {
  readonly registry: Registry;
  tunnels(count: number): void;
  leftovers(count: number): void;
  kernelFeatures(features: Readonly<Record<string, boolean>>): void;
}

/** `sessions` is read at each scrape. */
export function createMetrics(version: string, sessions: () => readonly ObservedSession[]): AgentMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'crashcart_agent_sessions',
    help: 'Sessions of this node that the agent remembers, by phase.',
    labelNames: ['phase'],
    registers,
    collect() {
      for (const phase of phases) this.set({ phase }, 0);
      for (const { phase } of sessions()) this.inc({ phase });
    },
  });
  new Gauge({
    name: 'crashcart_agent_clients',
    help: 'Clients that are attached to sessions of this node.',
    registers,
    collect() {
      this.set(sessions().reduce((sum, { attached }) => sum + attached, 0));
    },
  });
  new Gauge({
    name: 'crashcart_agent_build_info',
    help: 'Always 1; the version is in the label.',
    labelNames: ['version'],
    registers,
  }).set({ version }, 1);
  const starts = new Histogram({
    name: 'crashcart_agent_session_start_seconds',
    help: 'From the order to the running command, or to the failure.',
    labelNames: ['outcome'],
    buckets: startBuckets,
    registers,
  });
  const bytes = new Counter({
    name: 'crashcart_agent_bytes_total',
    help: 'Bytes of sessions; `in` is towards the container.',
    labelNames: ['direction'],
    registers,
  });
  const failures = new Counter({
    name: 'crashcart_agent_teardown_failures_total',
    help: 'Rounds of attempts after which a session still had something on the node.',
    registers,
  });
  const leftovers = new Gauge({
    name: 'crashcart_agent_leftovers',
    help: 'Cgroups of sessions that are over, with something in them that cannot be ended, at the last look.',
    registers,
  });
  const tunnels = new Gauge({
    name: 'crashcart_agent_tunnels',
    help: 'Gateways that this agent is connected to.',
    registers,
  });
  const features = new Gauge({
    name: 'crashcart_agent_kernel_feature',
    help: 'What the kernel of this node can do, probed at the start: 1 or 0.',
    labelNames: ['feature'],
    registers,
  });
  return {
    registry,
    launched: (outcome, durationMs) => starts.observe({ outcome }, durationMs / 1_000),
    transferred: (direction, count) => bytes.inc({ direction }, count),
    teardownFailed: () => failures.inc(),
    tunnels: (count) => tunnels.set(count),
    leftovers: (count) => leftovers.set(count),
    kernelFeatures: (probed) => {
      for (const [feature, available] of Object.entries(probed)) features.set({ feature }, available ? 1 : 0);
    },
  };
}
