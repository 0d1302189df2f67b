import { readFile } from 'node:fs/promises';
import { leaseName } from '../api/names.ts';
import { CrashcartError, describe } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { AgentRegistry } from '../gateway/agents.ts';
import { AttachServer } from '../gateway/attach.ts';
import { Placements } from '../gateway/placements.ts';
import { DirectoryStore } from '../gateway/recordings/directory-store.ts';
import { S3Store } from '../gateway/recordings/s3-store.ts';
import { RecordingServer } from '../gateway/recordings/serve.ts';
import type { RecordingStore } from '../gateway/recordings/store.ts';
import { GatewayServer } from '../gateway/server.ts';
import { FrontDoor } from '../gateway/tickets/front-door.ts';
import { TunnelListener } from '../gateway/tunnel-listener.ts';
import { createKubeClient } from '../kube/client.ts';
import type { Connection } from '../kube/connection.ts';
import { createEventRecorder } from '../kube/events.ts';
import { inClusterConnection } from '../kube/in-cluster.ts';
import { Election } from '../kube/lease.ts';
import { createProfileCache } from '../kube/profile-cache.ts';
import { followRequestHeaderConfig } from '../kube/request-header.ts';
import { createReviews } from '../kube/reviews.ts';
import { createSessionCache } from '../kube/session-cache.ts';
import { createTickets, sweepTickets } from '../kube/tickets.ts';
import { followServingCertificate, keepCertificates, publishForeignAuthority } from './certificates.ts';
import { createCluster } from './cluster.ts';
import { type ControllerConfig, parseConfig } from './config.ts';
import { recordForeignVisit } from './foreign-visit.ts';
import { serveHealth } from './health.ts';
import { Leader } from './leader.ts';
import { createMetrics } from './metrics.ts';
import { Orphans } from './orphans.ts';
import { parseExpectedPolicies } from './policies.ts';
import { PolicyGuard } from './policy-guard.ts';
import { Presence } from './presence.ts';
import { Reconciler } from './reconciler.ts';
import { RecordingCollector } from './recordings.ts';
import { keepProfiles, parseShippedProfiles } from './shipped-profiles.ts';
import { guardUninstall } from './uninstall.ts';

async function connect({ kubeconfig }: ControllerConfig): Promise<Connection> {
  if (kubeconfig === undefined) return inClusterConnection();
  // Only outside a cluster is the client library loaded at all: it is 60 MB of memory.
  const { loadConnection } = await import('../kube/config.ts');
  return loadConnection({ kubeconfig });
}

async function main(): Promise<void> {
  const config = parseConfig(process.argv.slice(2));
  const { namespace, podName } = config;
  const log = createLogger({ replica: podName }, { level: config.logLevel });
  log.info('starting', { version: config.version, namespace });
  const stop = stopSignal(log);
  const client = createKubeClient(await connect(config), `crashcart-controller/${config.version}`);

  const sessions = createSessionCache(client, log);
  const profiles = createProfileCache(client, log);
  const policies = new PolicyGuard(client, parseExpectedPolicies(await readFile(config.policies, 'utf8')), log);
  const shipped = parseShippedProfiles(await readFile(config.profiles, 'utf8'));
  const agents = new AgentRegistry();
  const placements = new Placements(agents);
  const events = createEventRecorder({ client, instance: podName, log });
  const reviews = createReviews(client);
  const cluster = createCluster(client);
  const election = new Election({ client, namespace, name: leaseName, identity: podName, log });
  let certificateExpires: number | undefined;
  const metrics = createMetrics({
    phases: () => [...sessions.values()].map((session) => session.status?.phase),
    queueDepth: () => leader.queueDepth,
    leading: () => election.leading,
    certificateExpires: () => certificateExpires,
    policiesIntact: () => policies.verdict.intact,
  });
  const presence = new Presence(agents);
  const reconciler = new Reconciler({
    cluster,
    agents,
    placements,
    presence,
    profiles,
    policies,
    events,
    metrics,
    log,
    agentLossMs: config.agentLossMs,
  });
  const orphans = new Orphans({ agents, sessions, cluster, log });
  const leader = new Leader({ sessions, agents, reconciler, orphans, profiles, policies, metrics, log });

  const attach = new AttachServer({
    reviews,
    sessions,
    agents,
    placements,
    metrics: metrics.gateway,
    log,
    reviewEveryMs: config.reviewEveryMs,
    onForeign: (session, user, visit) => recordForeignVisit(events, session, user, visit),
    admission: ({ metadata }) => ({
      policiesSinceMs: policies.verdict.intact ? policies.verdict.sinceMs : undefined,
      seenForMs: sessions.seenForMs(metadata.uid),
      nowMs: Date.now(),
    }),
  });
  const store = recordingStore(config);
  const recordings = new RecordingServer({
    reviews,
    sessions,
    agents,
    metrics: metrics.gateway,
    log,
    ...(store ? { store } : {}),
  });
  const collector = new RecordingCollector({
    agents,
    sessions,
    log,
    ...(store ? { store } : {}),
    collected: (outcome) => metrics.recordingCollected(outcome),
    onRecorded: (session, status) => {
      reconciler.recorded(session.metadata.uid, status);
      leader.look(session);
    },
  });
  const ticket = config.attachMode === 'Ticket';
  const frontDoor = ticket ? new FrontDoor({ tickets: createTickets(client), attach, recordings, log }) : undefined;
  const gateway = new GatewayServer({ attach, recordings, log, ...(frontDoor ? { frontDoor } : {}) });
  const tunnels = new TunnelListener({ registry: agents, namespace, reviews, metrics: metrics.gateway, log });
  const health = await serveHealth(config.metricsPort, { registry: metrics.registry, ready: () => gateway.ready });
  // Discovery answers before anything else is there.
  await Promise.all([gateway.listen(config.port), tunnels.listen(config.tunnelPort)]);

  const onCertificate = (pair: { key: string; cert: string }, expiresAtMs: number): void => {
    gateway.setCertificate(pair);
    tunnels.setCertificate(pair);
    placements.setSecret(pair.key);
    certificateExpires = expiresAtMs / 1_000;
  };
  const certificates = { client, namespace, log, lifetimeMs: config.certificateLifetimeMs, aggregated: !ticket };
  const keepTrust = config.foreignCertificates ? publishForeignAuthority : keepCertificates;
  const everyReplica = [
    sessions.run(stop),
    profiles.run(stop),
    policies.run(stop),
    followServingCertificate(certificates, onCertificate, stop),
    followRequestHeaderConfig({ client, log, signal: stop, onChange: (header) => gateway.setRequestHeader(header) }),
    guardUninstall({ client, namespace, agents, log, aggregated: !ticket }, stop),
  ];
  await election.run(stop, async (term) => {
    await Promise.all([
      leader.run(term),
      collector.run(term),
      keepTrust(certificates, term),
      ticket ? sweepTickets(client, log, term) : undefined,
      keepProfiles({ client, profiles, shipped, log }, term),
    ]);
  });

  gateway.close();
  tunnels.close();
  health.close();
  await Promise.all(everyReplica);
  await events.flush();
  client.close();
  log.info('stopped');
}

function recordingStore(config: ControllerConfig): RecordingStore | undefined {
  const { recordingsDirectory, recordingsS3Endpoint: endpoint, recordingsS3Bucket: bucket } = config;
  if (recordingsDirectory !== undefined) return new DirectoryStore(recordingsDirectory);
  if (endpoint === undefined || bucket === undefined) return undefined;
  return new S3Store({
    endpoint,
    bucket,
    region: config.recordingsS3Region,
    prefix: config.recordingsS3Prefix,
    credentials: config.recordingsS3Credentials,
    encryption: config.recordingsS3Encryption,
  });
}

/** The first SIGTERM or SIGINT ends the process in order, the second at once. */
function stopSignal(log: ReturnType<typeof createLogger>): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(130);
      log.info('stopping', { signal: name });
      stop.abort();
    });
  }
  return stop.signal;
}

main().then(
  // Connections of clients that do not close must not keep a finished process.
  () => process.exit(0),
  (caught: unknown) => {
    const reason = CrashcartError.from(caught).reason;
    createLogger().error('the controller ends', { reason, error: describe(caught) });
    process.exit(1);
  },
);
