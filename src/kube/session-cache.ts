import type { DebugSession } from '../api/debug-session.ts';
import { apiVersion, plural } from '../api/names.ts';
import { parseDebugSession } from '../api/parse.ts';
import type { Logger } from '../base/log.ts';
import type { KubeClient } from './client.ts';
import { resourcePath } from './paths.ts';
import { type Change, Reflector } from './reflector.ts';

export interface SessionCache {
  readonly synced: Promise<void>;
  /** False: its watch is cut, and a session that is not here may be there all the same. */
  readonly live: boolean;
  get(namespace: string, name: string): DebugSession | undefined;
  /** By `metadata.uid`. */
  byUid(uid: string): DebugSession | undefined;
  /** Milliseconds since it first came here, monotonic; undefined: it is not here. */
  seenForMs(uid: string): number | undefined;
  values(): Iterable<DebugSession>;
  onChange(listener: (change: Change<DebugSession>) => void): () => void;
  /**
   * The session as soon as it exists and `predicate` holds; undefined when that did not happen within `timeoutMs`, or when it was
   * deleted meanwhile. Never rejects. It waits for an object that is not there yet, too: a client may attach while its create is under way.
   */
  waitFor(
    namespace: string,
    name: string,
    predicate: (session: DebugSession) => boolean,
    timeoutMs: number,
  ): Promise<DebugSession | undefined>;
  run(signal: AbortSignal): Promise<void>;
}

export const sessionKey = (namespace: string, name: string): string => `${namespace}/${name}`;

export function createSessionCache(client: KubeClient, log: Logger): SessionCache {
  const reflector = new Reflector({ client, path: resourcePath(apiVersion, plural), parse: parseDebugSession, log });
  const seen = new Map<string, { readonly key: string; readonly atMs: number }>();
  reflector.onChange((change) => {
    const uid = change.object.metadata.uid;
    const gone = change.type === 'deleted' ? uid : change.previous?.metadata.uid;
    if (gone !== undefined && (change.type === 'deleted' || gone !== uid)) seen.delete(gone);
    if (change.type === 'set' && !seen.has(uid)) seen.set(uid, { key: change.key, atMs: performance.now() });
  });
  return {
    synced: reflector.synced,
    get live() {
      return reflector.live;
    },
    get: (namespace, name) => reflector.get(sessionKey(namespace, name)),
    byUid: (uid) => reflector.get(seen.get(uid)?.key ?? ''),
    seenForMs: (uid) => {
      const atMs = seen.get(uid)?.atMs;
      return atMs === undefined ? undefined : performance.now() - atMs;
    },
    values: () => reflector.values(),
    onChange: (listener) => reflector.onChange(listener),
    waitFor: (namespace, name, predicate, timeoutMs) =>
      waitFor(reflector, sessionKey(namespace, name), predicate, timeoutMs),
    run: (signal) => reflector.run(signal),
  };
}

async function waitFor(
  reflector: Reflector<DebugSession>,
  key: string,
  predicate: (session: DebugSession) => boolean,
  timeoutMs: number,
): Promise<DebugSession | undefined> {
  const now = reflector.get(key);
  if (now && predicate(now)) return now;
  const { promise, resolve } = Promise.withResolvers<DebugSession | undefined>();
  const stopListening = reflector.onChange((change) => {
    if (change.key !== key) return;
    if (change.type === 'deleted') resolve(undefined);
    else if (predicate(change.object)) resolve(change.object);
  });
  const timer = setTimeout(() => resolve(undefined), timeoutMs);
  try {
    return await promise;
  } finally {
    stopListening();
    clearTimeout(timer);
  }
}
