import type { IncomingHttpHeaders } from 'node:http';
import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2';
import { CrashcartError, type Reason, reasons } from '../base/errors.ts';
import {
  auditIdHeader,
  type DesiredSession,
  limits,
  type ObservedSession,
  paths,
  recordingLengthHeader,
  type SessionEvent,
  type StoredRecording,
} from '../wire/agent-protocol.ts';
import { lines } from '../wire/lines.ts';
import { parseObservedSession, parseSessionEvent, parseStoredRecordings } from '../wire/observed-session.ts';
import { exactly } from './recordings/exactly.ts';
import type { RecordingPart } from './recordings/store.ts';
import { openStream, requestJson } from './tunnel-request.ts';

/** One agent, while its tunnel is up. All requests reject with AgentLost once it is not. */
export interface AgentLink {
  readonly node: string;
  /** New at every start of the agent. */
  readonly instance: string;
  readonly version: string;
  /** Idempotent; answers as soon as the agent has accepted it. */
  put(session: DesiredSession, auditId?: string): Promise<ObservedSession>;
  /** Idempotent; answers when the teardown is proven. Rejects with NotFound for a session that the agent does not know. */
  remove(uid: string, reason: Reason): Promise<ObservedSession>;
  /** By uid, as the agent's event stream tells it; undefined until its first list. */
  sessions(): ReadonlyMap<string, ObservedSession> | undefined;
  /** Resolves once the command runs. Frames of wire/frames.ts both ways. */
  attach(
    uid: string,
    query: URLSearchParams,
    headers: OutgoingHttpHeaders,
    signal?: AbortSignal,
    onHead?: (headers: IncomingHttpHeaders) => void,
  ): Promise<ClientHttp2Stream>;
  /** Finished recordings that are still on the node. */
  recordings(): Promise<readonly StoredRecording[]>;
  /** Rejects with NotFound for a session that this node has not recorded. */
  recording(uid: string, range: RecordingRange): Promise<RecordingPart>;
  /** Idempotent. Rejects with Invalid when the node has another recording than that of the checksum. */
  removeRecording(uid: string, sha256: string): Promise<void>;
}

export interface RecordingRange {
  readonly from: number;
  readonly limit: number;
  readonly signal?: AbortSignal;
}

export interface AgentDescription {
  readonly node: string;
  readonly instance: string;
  readonly version: string;
}

/** The agent answers as soon as it took it in; 10 s is for a node that swaps. */
const putTimeoutMs = 10_000;
/** Killing, waiting for the last process, unmounting, proving. */
const removeTimeoutMs = 60_000;
/** The agent holds the answer while it prepares: CRI, mounts, the first exec. */
const attachTimeoutMs = 45_000;
const eventsTimeoutMs = 10_000;
const recordingsTimeoutMs = 20_000;
/** The live ones, and the ended ones that the agent still remembers. */
const maxSessions = limits.sessionsPerAgent * 4;

export class TunnelLink implements AgentLink {
  readonly node: string;
  readonly instance: string;
  readonly version: string;
  readonly #session: ClientHttp2Session;
  #sessions: Map<string, ObservedSession> | undefined;

  constructor(session: ClientHttp2Session, description: AgentDescription) {
    this.#session = session;
    this.node = description.node;
    this.instance = description.instance;
    this.version = description.version;
  }

  async put(session: DesiredSession, auditId?: string): Promise<ObservedSession> {
    const headers = auditId === undefined ? {} : { [auditIdHeader]: auditId };
    const path = paths.session(session.uid);
    return parseObservedSession(
      await requestJson(this.#session, { method: 'PUT', path, headers, body: session, timeoutMs: putTimeoutMs }),
    );
  }

  async remove(uid: string, reason: Reason): Promise<ObservedSession> {
    const path = `${paths.session(uid)}?${new URLSearchParams({ reason })}`;
    return parseObservedSession(
      await requestJson(this.#session, { method: 'DELETE', path, timeoutMs: removeTimeoutMs }),
    );
  }

  sessions(): ReadonlyMap<string, ObservedSession> | undefined {
    return this.#sessions;
  }

  attach(
    uid: string,
    query: URLSearchParams,
    headers: OutgoingHttpHeaders,
    signal?: AbortSignal,
    onHead?: (headers: IncomingHttpHeaders) => void,
  ): Promise<ClientHttp2Stream> {
    return openStream(this.#session, {
      ...(onHead ? { onHead } : {}),
      method: 'POST',
      path: `${paths.attach(uid)}?${query}`,
      headers,
      open: true,
      timeoutMs: attachTimeoutMs,
      ...(signal === undefined ? {} : { signal }),
    });
  }

  async recordings(): Promise<readonly StoredRecording[]> {
    const request = { method: 'GET', path: paths.recordings, timeoutMs: recordingsTimeoutMs } as const;
    return parseStoredRecordings(await requestJson(this.#session, request));
  }

  async recording(uid: string, { from, limit, signal }: RecordingRange): Promise<RecordingPart> {
    const path = `${paths.recording(uid)}?${new URLSearchParams({ from: `${from}`, limit: `${limit}` })}`;
    let length = 0;
    const stream = await openStream(this.#session, {
      method: 'GET',
      path,
      timeoutMs: recordingsTimeoutMs,
      onHead: (headers) => {
        length = Number(headers[recordingLengthHeader]);
      },
      ...(signal ? { signal } : {}),
    });
    if (Number.isSafeInteger(length) && length >= 0)
      return { length, bytes: exactly(stream, partLength(length, from, limit)) };
    stream.close();
    throw new CrashcartError(reasons.Invalid, 'the agent did not say how long the recording is');
  }

  async removeRecording(uid: string, sha256: string): Promise<void> {
    const path = `${paths.recording(uid)}?${new URLSearchParams({ sha256 })}`;
    await requestJson(this.#session, { method: 'DELETE', path, timeoutMs: recordingsTimeoutMs });
  }

  /**
   * Follows the agent's events until its stream ends, which it does by itself only when the agent goes.
   * @throws CrashcartError for whatever is not an event
   */
  async follow(onEvent: (event: SessionEvent) => void): Promise<void> {
    const stream = await openStream(this.#session, { method: 'GET', path: paths.sessions, timeoutMs: eventsTimeoutMs });
    for await (const line of lines(stream, limits.eventLineBytes)) {
      const event = parseSessionEvent(parseLine(line));
      this.#apply(event);
      onEvent(event);
    }
  }

  #apply(event: SessionEvent): void {
    if (event.type === 'list') {
      // The leader looks at every session of a list: an agent in the wrong hands could keep it and the API server busy with nothing else.
      if (this.#sessions) throw new CrashcartError(reasons.Invalid, 'the agent sent a second list');
      this.#sessions = new Map(event.sessions.map((session) => [session.uid, session]));
      return;
    }
    if (this.#sessions === undefined)
      throw new CrashcartError(reasons.Invalid, 'the agent sent a change before its list');
    if (event.type === 'forgotten') this.#sessions.delete(event.uid);
    else this.#sessions.set(event.session.uid, event.session);
    if (this.#sessions.size > maxSessions)
      throw new CrashcartError(reasons.Invalid, 'the agent tells of too many sessions');
  }
}

const partLength = (length: number, from: number, limit: number): number => Math.max(0, Math.min(length - from, limit));

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new CrashcartError(reasons.Invalid, 'the agent sent an event that is not JSON', { cause });
  }
}
