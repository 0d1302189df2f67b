import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { phases } from '../api/debug-session.ts';
import type { GatewayMetrics } from '../gateway/metrics.ts';

/** Seconds, from one round trip to a minute. */
const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Read at each scrape. */
export interface Gauges {
  /** Phase of each session that this replica knows; undefined: not looked at yet. */
  phases(): Iterable<string | undefined>;
  queueDepth(): number;
  leading(): boolean;
  /** Seconds since the epoch; undefined while there is no certificate. */
  certificateExpires(): number | undefined;
  policiesIntact(): boolean;
}

export interface ControllerMetrics {
  readonly registry: Registry;
  readonly gateway: GatewayMetrics;
  /** One turn of the reconciler. */
  reconciled(seconds: number, outcome: 'done' | 'error'): void;
  /** One PUT to an agent; `outcome` is `accepted` or a reason. */
  dispatched(seconds: number, outcome: string): void;
  /** `seconds` from the first look at the object to the running command. */
  started(seconds: number): void;
  /** A recording was stored, or recordings of a node could not be. */
  recordingCollected(outcome: 'stored' | 'failed'): void;
}

export function createMetrics(gauges: Gauges): ControllerMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: L[]): Counter<L> =>
    new Counter({ name, help, labelNames, registers });
  const histogram = <L extends string>(name: string, help: string, labelNames: L[]): Histogram<L> =>
    new Histogram({ name, help, labelNames, buckets, registers });
  const gauge = (name: string, help: string, collect?: (this: Gauge) => void): Gauge =>
    new Gauge({ name, help, registers, ...(collect ? { collect } : {}) });

  new Gauge({
    name: 'crashcart_sessions',
    help: 'DebugSession objects by phase.',
    labelNames: ['phase'],
    registers,
    collect() {
      for (const phase of phases) this.set({ phase }, 0);
      for (const phase of gauges.phases()) this.inc({ phase: phase ?? 'Pending' });
    },
  });
  gauge('crashcart_queue_depth', 'Sessions that wait for the reconciler.', function collect() {
    this.set(gauges.queueDepth());
  });
  gauge('crashcart_leader', '1 in the replica that reconciles.', function collect() {
    this.set(gauges.leading() ? 1 : 0);
  });
  gauge(
    'crashcart_serving_certificate_expires_seconds',
    'End of the serving certificate, as Unix time.',
    function collect() {
      this.set(gauges.certificateExpires() ?? 0);
    },
  );
  gauge(
    'crashcart_policies_intact',
    '0 while an admission policy is missing or altered: nothing is started.',
    function collect() {
      this.set(gauges.policiesIntact() ? 1 : 0);
    },
  );
  const reconciles = histogram('crashcart_reconcile_seconds', 'One turn of the reconciler.', ['outcome']);
  const dispatches = histogram('crashcart_dispatch_seconds', 'Telling an agent about a session.', ['outcome']);
  const starts = histogram(
    'crashcart_session_start_seconds',
    'From the first look at a session to its running command.',
    [],
  );

  const collected = counter('crashcart_recordings_collected_total', 'Recordings that were taken from their nodes.', [
    'outcome',
  ]);

  return {
    registry,
    gateway: gatewayMetrics({ counter, histogram, gauge }),
    reconciled: (seconds, outcome) => reconciles.observe({ outcome }, seconds),
    dispatched: (seconds, outcome) => dispatches.observe({ outcome }, seconds),
    started: (seconds) => starts.observe(seconds),
    recordingCollected: (outcome) => collected.inc({ outcome }),
  };
}

interface Makers {
  counter<L extends string>(name: string, help: string, labels: L[]): Counter<L>;
  histogram<L extends string>(name: string, help: string, labels: L[]): Histogram<L>;
  gauge(name: string, help: string): Gauge;
}

function gatewayMetrics({ counter, histogram, gauge }: Makers): GatewayMetrics {
  const attached = gauge('crashcart_attaches', 'Clients that are attached through this replica.');
  const attachSeconds = counter('crashcart_attached_seconds_total', 'Time that clients were attached.', []);
  const ready = histogram('crashcart_attach_ready_seconds', 'From an attach request to its 101.', []);
  const refused = counter('crashcart_attaches_refused_total', 'Attach requests that were refused.', ['reason']);
  const tunnels = gauge('crashcart_tunnels', 'Agents that are connected to this replica.');
  const tunnelsRefused = counter('crashcart_tunnels_refused_total', 'Connections that did not prove to be an agent.', [
    'reason',
  ]);
  const reviews = histogram('crashcart_access_review_seconds', 'SubjectAccessReviews.', ['outcome']);
  const bytes = counter('crashcart_attach_bytes_total', 'Payload; `in` is towards the container.', ['direction']);
  return {
    attachStarted: () => attached.inc(),
    attachEnded(seconds) {
      attached.dec();
      attachSeconds.inc(seconds);
    },
    attachReady: (seconds) => ready.observe(seconds),
    attachRefused: (reason) => refused.inc({ reason }),
    tunnelOpened: () => tunnels.inc(),
    tunnelClosed: () => tunnels.dec(),
    tunnelRefused: (reason) => tunnelsRefused.inc({ reason }),
    reviewed: (outcome, seconds) => reviews.observe({ outcome }, seconds),
    bytes: (direction, count) => bytes.inc({ direction }, count),
  };
}
