import { CrashcartError, type Reason, reasons } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { type DesiredSession, limits, type ObservedSession, type SessionEvent } from '../../wire/agent-protocol.ts';
import type { Recordings } from '../recording/recordings.ts';
import type { Launch, Launched, SessionsObserver } from './launch.ts';
import { Session } from './session.ts';
import type { Attachment, AttachRequest, PutContext, Sessions } from './sessions.ts';

/** An ended session is remembered so long, for a client that comes late: its ring and its exit. */
export const retainMs = 10 * 60_000;
/** And so many of them: with their memory at most 32 × 1.4 MiB. Of those before them only how they ended is kept. */
export const retainedSessions = 32;
/** What could not be removed of one is tried again so often. */
const cleanAgainMs = 60_000;
/**
 * How they ended must be kept until the controller has read it: a burst of short commands ends faster than statuses are written. With
 * those that run no more than the gateway takes from one agent (limits.sessionsPerAgent × 4).
 */
export const retainedRecords = 512;
/** Uids of forgotten sessions, so that an order that comes late does not start one a second time. */
const rememberedUids = 4096;

export interface RegistryOptions {
  readonly launch: Launch;
  readonly log: Logger;
  readonly observer: SessionsObserver;
  readonly maxSessions?: number;
  /** Left out: sessions that have to be recorded are refused. */
  readonly recordings?: Recordings;
}

/** All sessions of this node, by uid. The truth about what runs (decision D2). */
export class Registry implements Sessions {
  readonly #options: RegistryOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #records = new Map<string, ObservedSession>();
  readonly #forgotten = new Set<string>();
  readonly #expiry = new Map<string, NodeJS.Timeout>();
  readonly #listeners = new Set<(event: SessionEvent) => void>();
  #closing = false;

  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  put(desired: DesiredSession, context: PutContext): ObservedSession {
    const known = this.#sessions.get(desired.uid);
    const record = known?.observe() ?? this.#records.get(desired.uid);
    if (record && record.podUid !== desired.pod.uid) {
      throw new CrashcartError(
        reasons.PodReplaced,
        'The session was begun in another pod of that name, which this one has replaced: start another one.',
      );
    }
    if (known) {
      known.update(desired);
      return known.observe();
    }
    if (record) return record;
    this.#refuse(desired);
    const session = this.#create(desired, context);
    this.#sessions.set(desired.uid, session);
    session.start();
    void session.settled.then(() => this.#retain(session));
    this.#emit({ type: 'changed', session: session.observe() });
    return session.observe();
  }

  /** A session of an earlier agent that still has its supervisor, before any order is taken. */
  takeOver(desired: DesiredSession, context: PutContext, launched: Launched): void {
    const session = this.#create(desired, context);
    this.#sessions.set(desired.uid, session);
    session.takeOver(launched);
    void session.settled.then(() => this.#retain(session));
  }

  has(uid: string): boolean {
    return this.#sessions.has(uid);
  }

  async remove(uid: string, reason: Reason): Promise<ObservedSession> {
    const record = this.#records.get(uid);
    if (record) {
      this.#forget(uid);
      return record;
    }
    const session = this.#find(uid);
    session.end(reason);
    await session.settled;
    if (!session.cleanedUp) await session.cleanAgain();
    const observed = session.observe();
    if (observed.cleanedUp) this.#forget(uid);
    return observed;
  }

  list(): readonly ObservedSession[] {
    return [...this.#records.values(), ...[...this.#sessions.values()].map((session) => session.observe())];
  }

  onEvent(listener: (event: SessionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async attach(uid: string, request: AttachRequest): Promise<Attachment> {
    return await this.#find(uid).attach(request);
  }

  /**
   * Takes no more orders and lets go: sessions that run go on under their supervisors, for the next agent. Those that are just starting or ending
   * are brought to their end. Resolves when that is done.
   */
  async shutdown(): Promise<readonly ObservedSession[]> {
    this.#closing = true;
    const sessions = [...this.#sessions.values()];
    for (const session of sessions) {
      if (session.phase === 'preparing') session.end(reasons.AgentRestarted);
      else if (session.phase === 'running') session.leave();
    }
    await Promise.all(sessions.filter(({ phase }) => phase !== 'running').map(({ settled }) => settled));
    for (const timer of this.#expiry.values()) clearTimeout(timer);
    return this.list();
  }

  #refuse({ uid }: DesiredSession): void {
    if (this.#closing) {
      throw new CrashcartError(reasons.Unavailable, 'The node agent is shutting down: try again when it is back.');
    }
    if (this.#forgotten.has(uid)) {
      throw new CrashcartError(reasons.SessionEnded, 'The session has ended and was removed: start another one.');
    }
    const { maxSessions = limits.sessionsPerAgent } = this.#options;
    if (this.#active() >= maxSessions) {
      throw new CrashcartError(
        reasons.TooManySessions,
        `The node already runs ${maxSessions} sessions, as many as one agent takes: end one and start this one again.`,
      );
    }
  }

  #active(): number {
    let count = 0;
    for (const session of this.#sessions.values()) if (session.active) count += 1;
    return count;
  }

  #create(desired: DesiredSession, context: PutContext): Session {
    const { launch, observer, recordings, log } = this.#options;
    return new Session(desired, context, {
      launch,
      observer,
      recordings,
      log: log.child({
        session: `${desired.namespace}/${desired.name}`,
        uid: desired.uid,
        pod: desired.pod.name,
        container: desired.container.id,
        auditId: context.auditId,
      }),
      onChange: (changed) => {
        // A client that leaves after its session was removed changes nothing that anybody knows of.
        if (this.#sessions.get(desired.uid) === changed) this.#emit({ type: 'changed', session: changed.observe() });
      },
    });
  }

  #find(uid: string): Session {
    const session = this.#sessions.get(uid);
    if (session) return session;
    throw new CrashcartError(
      reasons.NotFound,
      `The node agent knows no session ${uid}: it has ended, or the agent was restarted; start another one.`,
    );
  }

  #retain(session: Session): void {
    const { uid } = session.desired;
    // Removed by somebody who waited for the same moment.
    if (this.#sessions.get(uid) !== session || this.#closing) return;
    this.#expireLater(session);
    const ended = [...this.#expiry.keys()].filter((each) => this.#sessions.has(each));
    for (const oldest of ended.slice(0, -retainedSessions)) this.#shelve(oldest);
    for (const oldest of this.#records.keys()) {
      if (this.#records.size <= retainedRecords) break;
      this.#forget(oldest);
    }
  }

  /** Keeps how it ended and lets go of its output. What still has to be cleaned up is not let go of. */
  #shelve(uid: string): void {
    const session = this.#sessions.get(uid);
    if (!session?.cleanedUp) return;
    // A client may still be reading its end; nobody is told when it has.
    this.#records.set(uid, { ...session.observe(), attached: 0 });
    session[Symbol.dispose]();
    this.#sessions.delete(uid);
  }

  #expireLater(session: Session): void {
    const timer = setTimeout(() => void this.#expire(session), session.cleanedUp ? retainMs : cleanAgainMs);
    timer.unref();
    this.#expiry.set(session.desired.uid, timer);
  }

  /** What could not be removed is tried again rather than forgotten. */
  async #expire(session: Session): Promise<void> {
    const { uid } = session.desired;
    if (session.cleanedUp) return this.#forget(uid);
    await session.cleanAgain();
    if (this.#sessions.has(uid)) this.#expireLater(session);
  }

  #forget(uid: string): void {
    clearTimeout(this.#expiry.get(uid));
    this.#expiry.delete(uid);
    this.#sessions.get(uid)?.[Symbol.dispose]();
    const known = [this.#sessions.delete(uid), this.#records.delete(uid)];
    if (!known.includes(true)) return;
    this.#forgotten.add(uid);
    for (const oldest of this.#forgotten) {
      if (this.#forgotten.size <= rememberedUids) break;
      this.#forgotten.delete(oldest);
    }
    this.#emit({ type: 'forgotten', uid });
  }

  #emit(event: SessionEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
