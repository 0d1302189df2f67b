import type { IncomingMessage } from 'node:http';
import { Backoff } from '../base/backoff.ts';
import { CrashcartError, describe, reasons } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { KubeClient } from './client.ts';
import type { Query } from './connection.ts';
import { errorOfAnswer, isExpired, KubeError } from './kube-error.ts';
import { linesOf } from './lines.ts';

export type Change<T> =
  | { readonly type: 'set'; readonly key: string; readonly object: T; readonly previous: T | undefined }
  | { readonly type: 'deleted'; readonly key: string; readonly object: T };

export interface ReflectorOptions<T> {
  readonly client: KubeClient;
  /** Of the collection. */
  readonly path: string;
  /** Selectors. */
  readonly query?: Query;
  /** Throws for an object that this program cannot understand: it is logged and treated as absent. */
  readonly parse: (value: unknown) => T;
  readonly log: Logger;
  /** No event and no bookmark (about one a minute) for this long means that the connection is dead. */
  readonly inactivityMs?: number;
  readonly random?: () => number;
}

const pageSize = 500;
const maxEventBytes = 4 * 1024 * 1024;

interface Metadata {
  readonly namespace?: string;
  readonly name: string;
  readonly resourceVersion: string;
}

/**
 * A local copy of a collection, kept by list and watch. `run` never gives up: whatever fails is tried again with a
 * growing pause, and a resource version that has expired is a new list. Handlers see the differences; they must not
 * rely on seeing every step between two states.
 */
export class Reflector<T> {
  readonly #options: ReflectorOptions<T>;
  readonly #objects = new Map<string, T>();
  readonly #listeners = new Set<(change: Change<T>) => void>();
  readonly #firstList = Promise.withResolvers<void>();
  #resourceVersion = '';
  #live = false;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
  }

  /** Resolves after the first complete list. */
  get synced(): Promise<void> {
    return this.#firstList.promise;
  }

  /** Its watch is open. While it is not, what is not here may be there all the same. */
  get live(): boolean {
    return this.#live;
  }

  /** `key` is `namespace/name`, or the name of a cluster-wide object. */
  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  keys(): IterableIterator<string> {
    return this.#objects.keys();
  }

  /** Called synchronously while the change is applied. Returns the function that takes it back. */
  onChange(listener: (change: Change<T>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { random, log, path } = this.#options;
    // Two controllers are no crowd, and sessions wait for them: an API server that is back is found within seconds.
    const backoff = new Backoff({ initialMs: 200, maxMs: 5_000, ...(random ? { random } : {}) });
    while (!signal.aborted) {
      try {
        if (this.#resourceVersion === '') await this.#list(signal);
        const startedAt = performance.now();
        await this.#watch(signal);
        // A server that ends every watch at once must not be asked in a tight loop.
        if (performance.now() - startedAt < 1_000) await backoff.wait(signal);
        else backoff.reset();
      } catch (caught) {
        if (signal.aborted) return;
        if (isExpired(caught)) this.#resourceVersion = '';
        else log.warn('watch failed, trying again', { path, error: describe(caught) });
        if (caught instanceof KubeError && caught.retryAfterMs) await pause(caught.retryAfterMs, signal);
        await backoff.wait(signal);
      }
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { client, path, query } = this.#options;
    const seen = new Set<string>();
    let next: string | undefined;
    let resourceVersion = '';
    do {
      const page = (await client.request({
        method: 'GET',
        path,
        query: { ...query, limit: pageSize, continue: next },
        timeoutMs: 60_000,
        signal,
      })) as { metadata: { resourceVersion: string; continue?: string }; items?: readonly unknown[] };
      for (const item of page.items ?? []) {
        seen.add(keyOf(metadataOf(item)));
        this.#set(item);
      }
      next = page.metadata.continue || undefined;
      resourceVersion = page.metadata.resourceVersion;
    } while (next !== undefined);
    for (const key of [...this.#objects.keys()]) if (!seen.has(key)) this.#delete(key);
    this.#resourceVersion = resourceVersion;
    this.#firstList.resolve();
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { client, path, query, inactivityMs = 90_000, random = Math.random } = this.#options;
    const inactive = new AbortController();
    const timer = setTimeout(() => inactive.abort(), inactivityMs);
    let stream: IncomingMessage | undefined;
    try {
      stream = await client.stream({
        method: 'GET',
        path,
        query: {
          ...query,
          watch: true,
          allowWatchBookmarks: true,
          resourceVersion: this.#resourceVersion,
          // Spread out, so that all watchers of a restarted API server do not come back together.
          timeoutSeconds: 300 + Math.floor(random() * 300),
        },
        signal: AbortSignal.any([signal, inactive.signal]),
      });
      this.#live = true;
      for await (const line of linesOf(stream, maxEventBytes)) {
        timer.refresh();
        this.#apply(JSON.parse(line) as WatchEvent);
      }
    } catch (caught) {
      // Quiet is no failure: the next watch goes on where this one stood.
      if (!inactive.signal.aborted) throw caught;
    } finally {
      this.#live = false;
      clearTimeout(timer);
      stream?.destroy();
    }
  }

  #apply({ type, object }: WatchEvent): void {
    if (type === 'ERROR') {
      const code = (object as { code?: number }).code ?? 500;
      throw errorOfAnswer(code, JSON.stringify(object));
    }
    const metadata = metadataOf(object);
    if (type === 'DELETED') this.#delete(keyOf(metadata));
    else if (type !== 'BOOKMARK') this.#set(object);
    this.#resourceVersion = metadata.resourceVersion;
  }

  #set(value: unknown): void {
    const key = keyOf(metadataOf(value));
    let object: T;
    try {
      object = this.#options.parse(value);
    } catch (caught) {
      this.#options.log.warn('object not understood, passed over', { key, error: describe(caught) });
      this.#delete(key);
      return;
    }
    const previous = this.#objects.get(key);
    this.#objects.set(key, object);
    this.#emit({ type: 'set', key, object, previous });
  }

  #delete(key: string): void {
    const object = this.#objects.get(key);
    if (object === undefined) return;
    this.#objects.delete(key);
    this.#emit({ type: 'deleted', key, object });
  }

  #emit(change: Change<T>): void {
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (caught) {
        // One handler's error must not stop the copy of the others.
        this.#options.log.error('a change handler failed', { key: change.key, error: describe(caught) });
      }
    }
  }
}

interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: unknown;
}

function metadataOf(value: unknown): Metadata {
  const metadata = (value as { metadata?: Metadata } | null)?.metadata;
  if (typeof metadata?.resourceVersion === 'string') return metadata;
  throw new CrashcartError(reasons.Invalid, 'an object of the API server has no metadata.resourceVersion');
}

const keyOf = ({ namespace, name }: Metadata): string => (namespace ? `${namespace}/${name}` : name);

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Backoff({ initialMs: ms, maxMs: ms }).wait(signal);
}
