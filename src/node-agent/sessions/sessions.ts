/** What the tunnel sees of the node's sessions. The registry of this folder implements it; a test may bring its own. */
import type { Readable } from 'node:stream';
import type { Reason } from '../../base/errors.ts';
import type { DesiredSession, ObservedSession, SessionEvent } from '../../wire/agent-protocol.ts';
import type { ResumeRequest } from '../../wire/resume.ts';

export interface Sessions {
  /**
   * Idempotent by uid: the first call starts the session at once (nobody needs to attach), later ones only answer how it
   * stands. A session that has ended is never started again, not even after it was removed. Throws a CrashcartError to
   * refuse: TooManySessions, Invalid, SessionEnded (removed before), Unavailable (the agent is shutting down). What goes
   * wrong later is the session's own failure, seen in its events.
   */
  put(desired: DesiredSession, context: PutContext): ObservedSession;
  /**
   * Ends the session if it still runs, gives its clients the rest of the output and the exit, proves that nothing is left
   * and forgets it. Answers when that is done; `cleanedUp` false with `leftovers` is the answer when something stayed (then
   * it is not forgotten, so that the call can be repeated). Throws NotFound for a uid that this agent does not know:
   * there is nothing to remove here.
   */
  remove(uid: string, reason: Reason): Promise<ObservedSession>;
  /** All that the agent remembers, the ended ones among them. */
  list(): readonly ObservedSession[];
  /** Called synchronously for every change after the call; `list` is the state before. The answer stops it. */
  onEvent(listener: (event: SessionEvent) => void): () => void;
  /**
   * Resolves once the command runs, or when it has already ended (then the output is the ring's tail and the exit). Rejects with the
   * session's failure, with NotFound, or with TooManySessions when the session has as many clients as it may have.
   */
  attach(uid: string, request: AttachRequest): Promise<Attachment>;
}

export interface PutContext {
  /** The API server's audit id: for the log, and for the shell as CRASHCART_AUDIT_ID. */
  readonly auditId?: string;
}

export interface AttachRequest {
  /** Without it, what the client sends on channel 0 is dropped. */
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
  /** It only reads along: it holds up nobody, and the session does not go on for its sake. */
  readonly observe?: boolean;
  /** It may come back for what it has not got: then both ends speak on the channel `resume` too. */
  readonly resume?: ResumeRequest;
  /** For people: the log, and who is attached as well. */
  readonly user?: string;
  readonly auditId?: string;
}

/** `payload` is at most `limits.framePayloadBytes` long. Channel numbers are those of wire/channel.ts. */
export interface Frame {
  readonly channel: number;
  readonly payload: Uint8Array;
}

export interface Attachment {
  /** What the session shows is recorded at this moment. */
  readonly recorded?: boolean;
  /**
   * Object mode, of `Frame`: first the ring's tail, then stdout and stderr as they come, then exactly one status frame,
   * then the end. Not reading it pauses the command. Destroying it detaches.
   */
  readonly output: Readable;
  /**
   * A frame from the client: stdin, resize, or close. False: the frame was NOT taken, hand the same one in again after
   * `drain`. Frames for a session that has ended, and malformed resizes, are taken and dropped.
   */
  input(frame: Frame): boolean;
  /** Called each time that input may go on after a false. The answer stops it. */
  onDrain(listener: () => void): () => void;
  /** Detaches; the session goes on. Safe to call twice. */
  close(): void;
}
