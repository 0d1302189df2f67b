/** Session starts as the leader makes them: its queue, its reconciler and real tunnels; the API server's part is played. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type DebugSession, visibilities } from '../../src/api/debug-session.ts';
import { finalizer } from '../../src/api/names.ts';
import { shippedProfiles } from '../../src/api/profile-rules.ts';
import { silentLogger } from '../../src/base/log.ts';
import type { Cluster } from '../../src/controller/cluster.ts';
import { Leader } from '../../src/controller/leader.ts';
import { Orphans } from '../../src/controller/orphans.ts';
import { Reconciler } from '../../src/controller/reconciler.ts';
import type { AgentLink } from '../../src/gateway/agent-link.ts';
import type { Agents } from '../../src/gateway/agents.ts';
import { Placements } from '../../src/gateway/placements.ts';
import type { Change } from '../../src/kube/reflector.ts';
import type { SessionCache } from '../../src/kube/session-cache.ts';
import { debugSession } from '../../test/support/gateway-loopback.ts';

/** What one request to the API server takes. */
const requestMs = 5;

/** Objects and their watch, in memory: a change is seen as soon as it is written. */
class Objects {
  readonly #sessions = new Map<string, DebugSession>();
  readonly #listeners = new Set<(change: Change<DebugSession>) => void>();

  set(object: DebugSession): void {
    const { uid, namespace, name } = object.metadata;
    const previous = this.#sessions.get(uid);
    this.#sessions.set(uid, object);
    for (const listener of this.#listeners) listener({ type: 'set', key: `${namespace}/${name}`, object, previous });
  }

  get cache(): SessionCache {
    const byUid = (uid: string): DebugSession | undefined => this.#sessions.get(uid);
    return {
      synced: Promise.resolve(),
      live: true,
      get: (_, name) => byUid(`uid-${name}`),
      byUid,
      seenForMs: () => undefined,
      values: () => this.#sessions.values(),
      onChange: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      waitFor: async (_, name) => byUid(`uid-${name}`),
      run: async () => undefined,
    };
  }
}

const nodeOf = (name: string): string => name.replace(/-start-\d+$/, '');

function playedCluster(objects: Objects): Cluster {
  const after = <T>(value: T): Promise<T> => sleep(requestMs, value);
  return {
    pod: (namespace, name) =>
      after({
        name,
        namespace,
        uid: `pod-${name}`,
        nodeName: name,
        phase: 'Running',
        containers: [{ name: 'app', role: 'app', state: { is: 'running', id: 'containerd://app' } }],
      }),
    node: () => after('present' as const),
    session: (_, name) => after(objects.cache.byUid(`uid-${name}`)),
    addFinalizer: (session) => after(session),
    removeFinalizer: () => after(true),
    applyStatus: async ({ metadata }, status) => {
      await after(undefined);
      const now = objects.cache.byUid(metadata.uid);
      if (now) objects.set({ ...now, status });
    },
    deleteSession: () => after(undefined),
  };
}

/** Milliseconds of each start from the arrival of its object to the agent's word that it has it. */
export async function startSessions(agents: Agents, perSecond: number, seconds: number): Promise<readonly number[]> {
  const objects = new Objects();
  const arrivedAt = new Map<string, number>();
  const times: number[] = [];
  /** Only told to, in all of this. */
  const timed = (link: AgentLink): AgentLink =>
    Object.create(link, {
      sessions: { value: () => link.sessions() },
      put: {
        value: async (...args: Parameters<AgentLink['put']>) => {
          const answer = await link.put(...args);
          times.push(performance.now() - (arrivedAt.get(answer.uid) ?? 0));
          return answer;
        },
      },
    });
  const links = new WeakMap<AgentLink, AgentLink>();
  const get = (node: string): AgentLink | undefined => {
    const link = agents.get(node);
    if (link && !links.has(link)) links.set(link, timed(link));
    return link && links.get(link);
  };
  const watched: Agents = { get, nodes: () => agents.nodes(), onChange: (listener) => agents.onChange(listener) };
  const cluster = playedCluster(objects);
  const metrics = { dispatched: () => undefined, started: () => undefined, reconciled: () => undefined };
  const profile = {
    name: 'general',
    generation: 1,
    rules: shippedProfiles.general,
    bounds: {
      visibilities,
      maxDuration: '24h',
      idleTimeout: '24h',
      detachGrace: '24h',
      recording: 'None',
      recordingFailure: 'End',
      requireReason: false,
    },
  } as const;
  const profiles = { get: () => profile, onChange: () => () => undefined, synced: Promise.resolve() };
  const policies = { verdict: { intact: true, sinceMs: 0 }, onChange: () => () => undefined } as const;
  const common = { agents: watched, profiles, policies, metrics, log: silentLogger };
  const events = { record: () => undefined, flush: async () => undefined };
  const placements = new Placements(agents);
  placements.setSecret('of the serving certificate');
  const reconciler = new Reconciler({ ...common, placements, cluster, presence: { absentMs: () => 0 }, events });
  const sessions = objects.cache;
  const orphans = new Orphans({
    agents: { get: () => undefined, nodes: () => [] },
    sessions,
    cluster,
    log: silentLogger,
  });
  const leader = new Leader({ ...common, sessions, reconciler, orphans });
  const term = new AbortController();
  const leading = leader.run(term.signal);
  const nodes = agents.nodes();
  const begun = performance.now();
  for (let at = 0; at < perSecond * seconds; at += 1) {
    await sleep(Math.max(0, begun + (at * 1_000) / perSecond - performance.now()));
    const node = nodes[Math.floor(Math.random() * nodes.length)] ?? '';
    const made = debugSession(`${node}-start-${at}`);
    const metadata = { ...made.metadata, creationTimestamp: new Date().toISOString(), finalizers: [finalizer] };
    arrivedAt.set(metadata.uid, performance.now());
    const target = { pod: { name: nodeOf(metadata.name) } };
    objects.set({ ...made, metadata, spec: { ...made.spec, target } });
  }
  // What is not accepted by then counts as that late.
  for (const giveUpAt = performance.now() + 10_000; times.length < perSecond * seconds; await sleep(50)) {
    if (performance.now() > giveUpAt)
      throw new Error(`${perSecond * seconds - times.length} starts never came to their agent`);
  }
  term.abort();
  await leading;
  return times;
}
