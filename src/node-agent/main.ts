import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import manifest from '../../package.json' with { type: 'json' };
import { CrashcartError, describe } from '../base/errors.ts';
import { createLogger, type Logger } from '../base/log.ts';
import { keepInheritedDescriptors } from '../linux/descriptors.ts';
import { loadKernel } from '../linux/kernel.ts';

import { adoptSessions } from './adopt.ts';
import { type Config, parseConfig } from './config.ts';
import { connectCri } from './cri/cri.ts';
import { serveHealth } from './health.ts';
import { createLauncher } from './launcher.ts';
import { createMetrics } from './metrics.ts';
import { lockNode } from './node-lock.ts';
import { Recordings } from './recording/recordings.ts';
import { sessionsCgroup } from './session/cgroup-path.ts';
import { openProcessDeps } from './session/deps.ts';
import { readParents } from './session/parents.ts';
import { sweepAgain, sweepLeftovers } from './session/sweep.ts';
import { Registry } from './sessions/registry.ts';
import { settleLater } from './settle.ts';
import { findCgroupOfAnyContainer, openAllToolboxes, probeNode } from './startup.ts';
import { runTunnels } from './tunnel/tunnels.ts';

/** The kubelet kills after 30 s: what cannot be ended in this time is the next agent's to sweep. */
const shutdownMs = 25_000;
/** For the last frames and events to reach the gateways. */
const farewellMs = 2_000;
const expireEveryMs = 10 * 60_000;
const sweepEveryMs = 60_000;

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
  let registry: Registry | undefined;
  const metrics = createMetrics(manifest.version, () => registry?.list() ?? []);
  let tunnels = 0;
  let standby = true;
  const health = await serveHealth({
    port: config.metricsPort,
    registry: metrics.registry,
    checks: {
      agent: async () => (stop.aborted ? 'shutting down' : undefined),
      // An update that waits for the newer agent before it ends the older one must not wait for ever.
      tunnel: async () => (tunnels === 0 && !standby ? `not connected to a gateway at ${config.gateway}` : undefined),
      toolboxes: async () => (processes.toolboxes.names().length === 0 ? `none in ${config.toolboxes}` : undefined),
      runtime: async () => void (await cri.version()),
    },
  });
  metrics.kernelFeatures({ ...(await probeNode(kernel, processes.cgroups, log)) });
  openAllToolboxes(kernel, processes.toolboxes, log);
  using lock = await lockNode(kernel, config.state, log, stop);
  if (lock === undefined) return void health.close();
  standby = false;
  // Not before: an older agent may still write there.
  const recordings = await openRecordings(config, log);
  const sessions = new Registry({
    launch: createLauncher({ cri, processes }),
    log,
    observer: metrics,
    maxSessions: config.maxSessions,
    ...(recordings ? { recordings } : {}),
  });
  registry = sessions;
  /** Whatever an earlier agent left without a supervisor; needs the runtime to know where to look. */
  const sweep = async (): Promise<void> => {
    const near = await findCgroupOfAnyContainer(cri, log, stop);
    if (near === undefined) return;
    const parents = [sessionsCgroup(near), ...readParents(config.state)];
    adoptSessions(processes, sessions, parents, log);
    const { leftovers } = await sweepLeftovers({ ...processes, stateDirectory: config.state }, parents, sessions);
    for (const each of leftovers) log.error('could not sweep up', { leftovers: each });
  };
  const adopted = adoptSessions(processes, sessions, readParents(config.state), log);
  if (adopted > 0) log.info('took sessions over from an earlier agent', { adopted });
  const swept = sweep().then(async () => {
    // What an earlier agent wrote of sessions that are gone ends here.
    await recordings?.recover(new Set(sessions.list().map(({ uid }) => uid)));
  });
  const isKept = (uid: string): boolean => sessions.list().some((each) => each.uid === uid && !each.cleanedUp);
  const options = { parents: () => readParents(config.state), sessions: { has: isKept }, observe: metrics.leftovers };
  void swept.then(() => sweepAgain(processes, { ...options, everyMs: sweepEveryMs, signal: stop }));
  // Who has sessions is wanted at once; whoever has none waits until it could start one.
  if (adopted === 0) await swept;

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
  const unsettle = settleLater(kernel, log);
  await aborted(stop);
  unsettle();
  await letGo(sessions, log);
  clearInterval(expiry);
  hangUp.abort();
  await swept;
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

/** The sessions go on under their supervisors. Those that were just ending are proven to be gone, while the gateways can still be told. */
async function letGo(sessions: Registry, log: Logger): Promise<void> {
  const left = await Promise.race([sessions.shutdown(), sleep(shutdownMs, sessions.list(), { ref: false })]);
  for (const { uid, phase, cleanedUp, leftovers } of left) {
    if (phase !== 'Running' && !cleanedUp) log.error('a session could not be cleaned up', { uid, leftovers });
  }
  log.info('letting go of the sessions', { running: left.filter(({ phase }) => phase === 'Running').length });
  const ending = (): boolean => sessions.list().some(({ phase, attached }) => phase !== 'Running' && attached > 0);
  for (const until = performance.now() + farewellMs; ending() && performance.now() < until; ) await sleep(10);
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
