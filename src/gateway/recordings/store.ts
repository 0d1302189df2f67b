import type { Readable } from 'node:stream';

/** What a node says of a finished recording, and what the store has to confirm. */
export interface RecordingFacts {
  readonly bytes: number;
  /** Hex. */
  readonly sha256: string;
}

export interface RecordingPart {
  /** Of the whole recording. */
  readonly length: number;
  /** Left out when there is nothing from there on. */
  readonly bytes?: Readable;
}

/** Where recordings end up: a bucket, or a directory. Keys are `NODE/NAMESPACE/SESSION-UID.cast`. */
export interface RecordingStore {
  /** For `status.recording.location`; `keyOf` is its reverse. */
  locationOf(key: string): string;
  /** Undefined for what is in no store, or in another one. */
  keyOf(location: string): string | undefined;
  /**
   * Idempotent: resolves at once when it is there already. Otherwise takes the bytes of `open` as they come, and resolves when the store
   * itself has confirmed size and checksum. @throws CrashcartError, and what is there under the key is as it was, or not whole and replaced by
   * the next call
   */
  put(key: string, facts: RecordingFacts, open: () => Promise<Readable>): Promise<void>;
  /** @throws CrashcartError NotFound */
  read(key: string, from: number, limit: number): Promise<RecordingPart>;
}

/** The node comes first, and it is the one that its tunnel has proven: a node in the wrong hands writes over nobody else's. */
export const recordingKey = (
  node: string,
  { namespace, session, uid }: { readonly namespace: string; readonly session: string; readonly uid: string },
): string => `${node}/${namespace}/${session}-${uid}.cast`;
