import type { DebugSession } from '../api/debug-session.ts';
import { apiVersion, plural } from '../api/names.ts';
import { parseDebugSession } from '../api/parse.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { KubeClient } from './client.ts';
import { resourcePath } from './paths.ts';
import { type Change, Reflector } from './reflector.ts';

export interface SessionCache {
  readonly synced: Promise<void>;
  get(namespace: string, name: string): DebugSession | undefined;
  /** By `metadata.uid`. */
  byUid(uid: string): DebugSession | undefined;
  values(): Iterable<DebugSession>;
  onChange(listener: (change: Change<DebugSession>) => void): () => void;
  /**
   * The session as soon as it exists and `predicate` holds. Rejects with `Timeout`; with the signal's reason when it is aborted.
   * It waits for an object that is not there yet, too: a client may attach while its create is still under way.
   */
  waitFor(
    namespace: string,
    name: string,
    predicate: (session: DebugSession) => boolean,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<DebugSession>;
  run(signal: AbortSignal): Promise<void>;
}

export const sessionKey = (namespace: string, name: string): string => `${namespace}/${name}`;

export function createSessionCache(client: KubeClient, log: Logger): SessionCache {
  const reflector = new Reflector({ client, path: resourcePath(apiVersion, plural), parse: parseDebugSession, log });
  const keys = new Map<string, string>();
  reflector.onChange((change) => {
    const gone = change.type === 'deleted' ? change.object : change.previous;
    if (gone) keys.delete(gone.metadata.uid);
    if (change.type === 'set') keys.set(change.object.metadata.uid, change.key);
  });
  return {
    synced: reflector.synced,
    get: (namespace, name) => reflector.get(sessionKey(namespace, name)),
    byUid: (uid) => reflector.get(keys.get(uid) ?? ''),
    values: () => reflector.values(),
    onChange: (listener) => reflector.onChange(listener),
    waitFor: (namespace, name, predicate, timeoutMs, signal) =>
      waitFor(reflector, sessionKey(namespace, name), predicate, timeoutMs, signal),
    run: (signal) => reflector.run(signal),
  };
}

async function waitFor(
  reflector: Reflector<DebugSession>,
  key: string,
  predicate: (session: DebugSession) => boolean,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<DebugSession> {
  signal?.throwIfAborted();
  const now = reflector.get(key);
  if (now && predicate(now)) return now;
  const { promise, resolve, reject } = Promise.withResolvers<DebugSession>();
  const stopListening = reflector.onChange((change) => {
    if (change.type === 'set' && change.key === key && predicate(change.object)) resolve(change.object);
  });
  const timer = setTimeout(() => {
    const state = reflector.get(key) ? 'did not get there' : 'does not exist';
    reject(new CrashcartError(reasons.Timeout, `DebugSession ${key} ${state} within ${timeoutMs} ms`));
  }, timeoutMs);
  const onAbort = (): void => reject(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await promise;
  } finally {
    stopListening();
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}
