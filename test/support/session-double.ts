import { EventEmitter } from 'node:events';
import { Readable } from 'node:stream';
import { CrashcartError, type Reason, reasons } from '../../src/base/errors.ts';
import type { Attachment, AttachRequest, Frame, PutContext, Sessions } from '../../src/node-agent/sessions/sessions.ts';
import type { DesiredSession, ObservedSession, SessionEvent } from '../../src/wire/agent-protocol.ts';

/** One attached client as the double sees it: a test plays the session's part. */
export class AttachmentDouble implements Attachment {
  readonly request: AttachRequest;
  readonly received: Frame[] = [];
  closed = false;
  /** Set to refuse input until `drain`. */
  full = false;
  /** How many frames the other end has pulled. */
  pulled = 0;
  source: () => Frame | undefined | null = () => undefined;
  readonly #events = new EventEmitter();
  readonly output: Readable;

  constructor(request: AttachRequest) {
    this.request = request;
    this.output = new Readable({
      objectMode: true,
      highWaterMark: 4,
      read: () => this.pull(),
    });
  }

  /** `source` gives a frame, null at the end, undefined when there is nothing now (call `pull` again later). */
  pull(): void {
    for (;;) {
      const frame = this.source();
      if (frame === undefined) return;
      if (frame !== null) this.pulled += 1;
      if (!this.output.push(frame) || frame === null) return;
    }
  }

  input(frame: Frame): boolean {
    if (this.full) return false;
    this.received.push(frame);
    this.#events.emit('input', frame);
    return true;
  }

  onInput(listener: (frame: Frame) => void): void {
    this.#events.on('input', listener);
  }

  drain(): void {
    this.full = false;
    this.#events.emit('drain');
  }

  onDrain(listener: () => void): () => void {
    this.#events.on('drain', listener);
    return () => this.#events.off('drain', listener);
  }

  close(): void {
    this.closed = true;
    this.output.destroy();
  }
}

/** An agent's sessions without a node: whatever is put runs at once; attaches are handed to `onAttach`. */
export class SessionsDouble implements Sessions {
  readonly sessions = new Map<string, ObservedSession>();
  readonly contexts: PutContext[] = [];
  readonly attachments: AttachmentDouble[] = [];
  onAttach: (attachment: AttachmentDouble, uid: string) => void | Promise<void> = () => {};
  readonly #events = new EventEmitter();

  put(desired: DesiredSession, context: PutContext): ObservedSession {
    this.contexts.push(context);
    const { uid, namespace, name } = desired;
    const session = { uid, namespace, name, phase: 'Running', attached: 0, cleanedUp: false } as const;
    this.sessions.set(uid, session);
    this.emit({ type: 'changed', session });
    return session;
  }

  async remove(uid: string, reason: Reason): Promise<ObservedSession> {
    const session = this.sessions.get(uid);
    if (!session) throw new CrashcartError(reasons.NotFound, `there is no session ${uid}`);
    const exit = { code: 137, signal: 'SIGKILL', reason, at: new Date().toISOString() };
    this.sessions.delete(uid);
    this.emit({ type: 'forgotten', uid });
    return { ...session, phase: 'Finished', exit, cleanedUp: true };
  }

  list(): readonly ObservedSession[] {
    return [...this.sessions.values()];
  }

  onEvent(listener: (event: SessionEvent) => void): () => void {
    this.#events.on('event', listener);
    return () => this.#events.off('event', listener);
  }

  emit(event: SessionEvent): void {
    this.#events.emit('event', event);
  }

  async attach(uid: string, request: AttachRequest): Promise<Attachment> {
    if (!this.sessions.has(uid)) throw new CrashcartError(reasons.NotFound, `there is no session ${uid}`);
    const attachment = new AttachmentDouble(request);
    await this.onAttach(attachment, uid);
    this.attachments.push(attachment);
    return attachment;
  }
}
