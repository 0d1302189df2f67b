import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import manifest from '../../package.json' with { type: 'json' };
import { CrashcartError, describe } from '../base/errors.ts';
import { createLogger, type Logger } from '../base/log.ts';
import { keepInheritedDescriptors } from '../linux/descriptors.ts';
import { loadKernel } from '../linux/kernel.ts';
import { type Config, parseConfig } from './config.ts';
import { connectCri } from './cri/cri.ts';
import { serveHealth } from './health.ts';
import { createLauncher } from './launcher.ts';
import { createMetrics } from './metrics.ts';
import { Recordings } from './recording/recordings.ts';
import { openProcessDeps } from './session/deps.ts';
import { sweepLeftovers } from './session/sweep.ts';
import { Registry } from './sessions/registry.ts';
import { findCgroupOfAnyContainer, openAllToolboxes, probeNode } from './startup.ts';
import { runTunnels } from './tunnel/tunnels.ts';

/** The kubelet kills after 30 s: what cannot be ended in this time is the next agent's to sweep. */
const shutdownMs = 25_000;
/** For the last frames and events to reach the gateways. */
const farewellMs = 2_000;
const expireEveryMs = 10 * 60_000;

async function run(config: Config, log: Logger, stop: AbortSignal): Promise<void> {
  const kernel = loadKernel();
  keepInheritedDescriptors(kernel);
  using cri = connectCri(config.criSocket);
  using processes = openProcessDeps({
    kernel,
    enterFile: config.enter,
    toolboxDirectory: config.toolboxes,
    cgroupRoot: config.cgroupRoot,
    stateDirectory: config.state,
    log,
  });
  const metrics = createMetrics(manifest.version, () => sessions.list());
  const launch = createLauncher({ cri, processes });
  const recordings = await openRecordings(config, log);
  const sessions = new Registry({
    launch,
    log,
    observer: metrics,
    maxSessions: config.maxSessions,
    ...(recordings ? { recordings } : {}),
  });
  let tunnels = 0;
  const health = await serveHealth({
    port: config.metricsPort,
    registry: metrics.registry,
    checks: {
      agent: async () => (stop.aborted ? 'shutting down' : undefined),
      tunnel: async () => (tunnels === 0 ? `not connected to a gateway at ${config.gateway}` : undefined),
      toolboxes: async () => (processes.toolboxes.names().length === 0 ? `none in ${config.toolboxes}` : undefined),
      runtime: async () => void (await cri.version()),
    },
  });
  metrics.kernelFeatures({ ...(await probeNode(kernel, processes.cgroups, log)) });
  openAllToolboxes(kernel, processes.toolboxes, log);
  const near = await findCgroupOfAnyContainer(cri, log, stop);
  if (near !== undefined) {
    const swept = await sweepLeftovers({ ...processes, stateDirectory: config.state }, near);
    for (const leftovers of swept.leftovers) log.error('could not sweep up', { leftovers });
  }

  // The sessions of an earlier agent are gone: what it wrote of them ends here.
  await recordings?.recover(new Set());
  const expiry = setInterval(() => void recordings?.expire(), expireEveryMs);

  const hangUp = new AbortController();
  const connected = runTunnels({
    sessions,
    ...(recordings ? { recordings } : {}),
    gateway: config.gateway,
    port: config.tunnelPort,
    serverName: config.gateway,
    caFile: config.caFile,
    tokenFile: config.tokenFile,
    version: manifest.version,
    instance: randomUUID(),
    log,
    signal: hangUp.signal,
    onConnected: (count) => {
      tunnels = count;
      metrics.tunnels(count);
    },
  });
  log.info('ready for orders');
  await aborted(stop);
  await endSessions(sessions, log);
  clearInterval(expiry);
  hangUp.abort();
  await connected;
  health.close();
}

/** A directory that cannot be opened costs only those sessions that must be recorded: the log and their refusal say so. */
async function openRecordings(config: Config, log: Logger): Promise<Recordings | undefined> {
  const {
    recordings: directory,
    recordingBytes: maxBytes,
    recordingsBytes: totalBytes,
    recordingsKeep: keepMs,
  } = config;
  if (directory === undefined) return undefined;
  try {
    return await Recordings.open({ directory, maxBytes, totalBytes, keepMs, log });
  } catch (error) {
    log.error('sessions cannot be recorded', { directory, error: describe(error) });
    return undefined;
  }
}

/** Ends all of them and proves it, while the gateways can still be told. */
async function endSessions(sessions: Registry, log: Logger): Promise<void> {
  const left = await Promise.race([sessions.shutdown(), sleep(shutdownMs, sessions.list(), { ref: false })]);
  for (const { uid, cleanedUp, leftovers } of left) {
    if (!cleanedUp) log.error('a session could not be cleaned up', { uid, leftovers });
  }
  const until = performance.now() + farewellMs;
  while (sessions.list().some(({ attached }) => attached > 0) && performance.now() < until) await sleep(10);
  // One more turn for what was written last.
  if (left.length > 0) await sleep(50);
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** The first SIGTERM or SIGINT ends the process in order, the second at once. */
function stopSignal(log: Logger): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(1);
      log.info('stopping', { signal: name });
      stop.abort();
    });
  }
  return stop.signal;
}

async function main(): Promise<void> {
  const config = parseConfig({
    args: process.argv.slice(2),
    env: process.env,
    version: manifest.version,
    print: (text) => process.stdout.write(text),
  });
  if (config === undefined) return;
  const log = createLogger({ node: config.nodeName }, { level: config.logLevel });
  log.info('starting', { version: manifest.version });
  await run(config, log, stopSignal(log));
  log.info('stopped');
}

main().then(
  // Connections of a scraper that do not close must not keep a finished process.
  () => process.exit(0),
  (caught: unknown) => {
    createLogger().error('the agent ends', { reason: CrashcartError.from(caught).reason, error: describe(caught) });
    process.exit(1);
  },
);
