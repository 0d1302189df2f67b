import { formatDuration } from '../../base/duration.ts';
import { CrashcartError, describe, type Reason, reasons } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { DesiredSession, ObservedExit, ObservedSession } from '../../wire/agent-protocol.ts';
import { statusOfExit } from '../../wire/status.ts';
import type { Recordings } from '../recording/recordings.ts';
import { SessionRecording } from '../recording/session-recording.ts';
import type { ProcessExit } from '../session/request.ts';
import { SessionIo } from './io.ts';
import type { Launch, Launched, LaunchedProcess, SessionsObserver } from './launch.ts';
import { Lifetime } from './lifetime.ts';
import type { Attachment, AttachRequest, PutContext } from './sessions.ts';
import { exitStatus, observation, type State } from './state.ts';

export interface SessionDeps {
  readonly launch: Launch;
  readonly log: Logger;
  readonly observer: SessionsObserver;
  /** Left out: this agent cannot record. */
  readonly recordings?: Recordings | undefined;
  /** The observed session is another one now. */
  readonly onChange: (session: Session) => void;
}

/** Finding a container takes milliseconds; a runtime that hangs must not hold a session for ever. */
export const prepareMs = 30_000;
/** Between the end of a session's processes by the death of their pid namespace, and the container's own end being visible. */
const containerExitGraceMs = 500;
/** How long a session goes on without an agent: longer than an update of the agents takes, even one that has to be rolled back. */
export const agentlessMs = 15 * 60_000;
const renewEveryMs = 60_000;
/** The supervisor ends a session by itself this long after an agent would have. */
const overrunMs = 30_000;
const cleanupAttempts = 5;
const cleanupPauseMs = 500;

/** One session, from the order to the proof that nothing is left. Starts with `start`, which is called once. */
export class Session {
  readonly desired: DesiredSession;
  readonly #context: PutContext;
  readonly #deps: SessionDeps;
  readonly #log: Logger;
  readonly #ready = Promise.withResolvers<void>();
  readonly #settled = Promise.withResolvers<void>();
  #state: State = { phase: 'preparing' };
  #io: SessionIo | undefined;
  #recording: SessionRecording | undefined;
  #lifetime: Lifetime | undefined;
  #maxDurationMs: number;
  #cleaning: Promise<void> | undefined;

  constructor(desired: DesiredSession, context: PutContext, deps: SessionDeps) {
    this.desired = desired;
    this.#maxDurationMs = desired.maxDurationMs;
    this.#context = context;
    this.#deps = deps;
    this.#log = deps.log;
    // Nobody has to attach: a failure that nobody waits for is no unhandled rejection.
    this.#ready.promise.catch(() => {});
  }

  get phase(): State['phase'] {
    return this.#state.phase;
  }

  get active(): boolean {
    return this.#state.phase === 'preparing' || this.#state.phase === 'running';
  }

  get cleanedUp(): boolean {
    return 'trace' in this.#state && this.#state.trace.cleanedUp;
  }

  /** Resolves when the session is over and everything was tried to remove its traces. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  observe(): ObservedSession {
    const { uid, namespace, name, pod, placement } = this.desired;
    const clients = this.#io?.clients ?? [];
    const recording = this.#recording?.observe();
    return {
      uid,
      namespace,
      name,
      attached: clients.length,
      ...(this.active ? { clients } : {}),
      maxDurationMs: this.#maxDurationMs,
      ...(placement === undefined ? {} : { placement }),
      podUid: pod.uid,
      ...(recording ? { recording } : {}),
      ...observation(this.#state),
    };
  }

  /** The session may run longer than it was told. Nothing else of an order can change, and an older order that comes again shortens nothing. */
  update({ maxDurationMs }: DesiredSession): void {
    if (!this.active || maxDurationMs <= this.#maxDurationMs) return;
    this.#log.info('the longest duration is another one now', { maxDurationMs });
    this.#maxDurationMs = maxDurationMs;
    this.#lifetime?.extend(maxDurationMs);
    if (this.#state.phase === 'running') {
      this.#state.launched.process.noted = maxDurationMs;
      this.#renew(this.#state.launched.process);
      // Who was warned must know that the warning counts no more.
      const remainingMs = this.#lifetime?.remainingMs ?? 0;
      this.#io?.notice(`this session was extended: it may last ${formatDuration(Math.max(0, remainingMs))} from now`);
    }
    this.#deps.onChange(this);
  }

  /** Its agent ended and its supervisor did not: goes on with what that kept. Instead of `start`. */
  takeOver(launched: Launched): void {
    if (launched.process.noted > 0) this.#maxDurationMs = launched.process.noted;
    this.#log.info('taken over from an earlier agent', { pid: launched.process.pid });
    this.#settle(this.#goOn(launched));
  }

  /** With its recording where that stopped. Nobody attaches before; what the command says meanwhile is kept in its ring. */
  async #goOn(launched: Launched): Promise<void> {
    this.#become({ phase: 'running', launched, startedAt: launched.startedAt });
    try {
      if (this.desired.recording) {
        await this.#record('resume');
        this.#deps.onChange(this);
      }
    } catch (caught) {
      this.#log.error('a recording could not be gone on with', { error: describe(caught) });
      this.end(reasons.RecordingFailed);
    }
    await this.#live(launched, true);
  }

  /** The process ends and the session does not. */
  leave(): void {
    this.#lifetime?.[Symbol.dispose]();
    if (this.#state.phase === 'running') this.#renew(this.#state.launched.process);
  }

  /** Nobody will ask for its output any more. */
  [Symbol.dispose](): void {
    this.#io?.[Symbol.dispose]();
  }

  start(): void {
    this.#settle(this.#run());
  }

  #settle(running: Promise<void>): void {
    running
      .catch((error: unknown) => this.#log.error('the session broke off', { error: describe(error) }))
      .finally(() => this.#settled.resolve());
  }

  /** Tells the session to end; idempotent, the first reason counts. `settled` says when it has. */
  end(reason: Reason): void {
    const state = this.#state;
    if (state.phase !== 'preparing' && state.phase !== 'running') return;
    if (state.stop !== undefined) return;
    state.stop = reason;
    this.#log.info('ending the session', { reason });
    if (state.phase === 'running') this.#kill(state.launched.process);
  }

  /** Removes what is left; for after `settled`, when that did not work at first. Never rejects. */
  async cleanAgain(): Promise<void> {
    if (this.cleanedUp) return;
    this.#cleaning ??= this.#cleanUp().finally(() => {
      this.#cleaning = undefined;
    });
    await this.#cleaning;
  }

  async attach(request: AttachRequest): Promise<Attachment> {
    await this.#ready.promise;
    if (this.#io === undefined) throw new CrashcartError(reasons.Internal, 'The session runs without its streams.');
    this.#log.info('attached', { user: request.user, attachAuditId: request.auditId });
    return this.#io.attach(request);
  }

  async #run(): Promise<void> {
    const launched = await this.#launch();
    if (launched === undefined) return;
    await this.#live(launched, false);
  }

  async #live(launched: Launched, taken: boolean): Promise<void> {
    const { process, startedAt } = launched;
    const io = new SessionIo({
      process,
      tty: this.desired.tty,
      taken,
      comeBack: `kubectl crashcart attach ${this.desired.name} -n ${this.desired.namespace}`,
      recording: this.#recording,
      onBytes: (direction, count) => this.#moved(direction, count),
      onClients: () => this.#clientsChanged(),
    });
    this.#io = io;
    const stop = this.#state.phase === 'preparing' ? this.#state.stop : undefined;
    if (this.#state.phase !== 'running') this.#become({ phase: 'running', launched, startedAt });
    if (stop !== undefined) this.end(stop);
    this.#ready.resolve();
    const exit = await this.#exit(launched, taken);
    this.#become({ phase: 'ended', startedAt, exit, launched, trace: { cleanedUp: false } });
    this.#log.info('the command ended', { code: exit.code, signal: exit.signal, reason: exit.reason });
    // Whatever the command left in the background ends with it, and lets go of the output.
    this.#kill(process);
    await io.finish(statusOfExit(exit));
    await Promise.all([this.#recording?.finish(exit), this.cleanAgain()]);
  }

  #clientsChanged(): void {
    const clients = this.#io?.participants ?? 0;
    this.#lifetime?.attached(clients);
    // Whether this is a session that everybody has left is a question that the next agent has, too.
    if (clients > 0 && this.#state.phase === 'running' && !this.#state.launched.process.visited) {
      this.#state.launched.process.visit();
    }
    this.#deps.onChange(this);
  }

  #renew(process: LaunchedProcess): void {
    const remainingMs = this.#lifetime?.remainingMs ?? this.#maxDurationMs;
    process.renew(Math.max(0, Math.min(remainingMs + overrunMs, agentlessMs)));
  }

  #moved(direction: 'in' | 'out', count: number): void {
    this.#lifetime?.touch();
    this.#deps.observer.transferred(direction, count);
  }

  async #launch(): Promise<Launched | undefined> {
    const startedMs = performance.now();
    const launching = this.#record('begin').then(() => this.#deps.launch(this.desired, this.#context));
    let launched: Launched;
    try {
      launched = await within(prepareMs, launching);
    } catch (caught) {
      this.#deps.observer.launched('failed', performance.now() - startedMs);
      await this.#failed(CrashcartError.from(caught), launching);
      return undefined;
    }
    this.#deps.observer.launched('running', performance.now() - startedMs);
    return launched;
  }

  /** Before anything runs that would have to be recorded. @throws CrashcartError RecordingFailed */
  async #record(how: 'begin' | 'resume'): Promise<void> {
    const { desired } = this;
    const { recordings } = this.#deps;
    if (desired.recording === undefined) return;
    if (recordings === undefined) {
      throw new CrashcartError(reasons.RecordingFailed, 'The agent of this node has no directory for recordings.');
    }
    this.#recording = await SessionRecording[how]({
      recordings,
      desired,
      ...this.#context,
      onEnd: () => this.end(reasons.RecordingFailed),
      onChange: () => this.#deps.onChange(this),
    });
  }

  async #failed(failure: CrashcartError, launching: Promise<Launched>): Promise<void> {
    this.#log.warn('the session failed', { reason: failure.reason, error: describe(failure) });
    this.#become({ phase: 'failed', failure, trace: { cleanedUp: false } });
    this.#ready.reject(failure);
    await this.#recording?.finish(failure);
    const late = await launching.catch(() => undefined);
    if (late === undefined) return this.#become({ phase: 'failed', failure, trace: { cleanedUp: true } });
    this.#become({ phase: 'failed', failure, launched: late, trace: { cleanedUp: false } });
    await this.#stopLate(late.process);
    await this.cleanAgain();
  }

  /** The command came up after it had been given up. */
  async #stopLate(process: LaunchedProcess): Promise<void> {
    this.#kill(process);
    await process.exited;
  }

  async #exit(launched: Launched, taken: boolean): Promise<ObservedExit> {
    const { process, startedAt } = launched;
    const { idleTimeoutMs, detachGraceMs } = this.desired;
    using lifetime = new Lifetime({
      maxDurationMs: this.#maxDurationMs,
      idleTimeoutMs,
      ...(detachGraceMs === undefined ? {} : { detachGraceMs }),
      ...(taken
        ? { startedAgoMs: Date.now() - Date.parse(startedAt), idleForMs: process.idleMs(), left: process.visited }
        : {}),
      onLimit: (reason) => this.end(reason),
      onWarning: (reason, remainingMs) => this.#io?.notice(warningOf(this.desired, reason, remainingMs)),
    });
    this.#lifetime = lifetime;
    this.#renew(process);
    const renewal = setInterval(() => this.#renew(process), renewEveryMs);
    renewal.unref();
    void launched.containerExited.then(() => this.end(reasons.ContainerExited));
    const status = await launched.process.exited.catch((error: unknown) => this.#lost(error));
    clearInterval(renewal);
    const reason = await this.#reasonOf(status, launched);
    this.#lifetime = undefined;
    return { ...exitStatus(status, reason), reason, at: status.at ?? new Date().toISOString() };
  }

  async #reasonOf(status: ProcessExit, launched: Launched): Promise<Reason> {
    const stop = (): Reason | undefined => (this.#state.phase === 'running' ? this.#state.stop : undefined);
    const told = stop();
    if (told !== undefined) return told;
    if (status.leaseOver) return reasons.MaxDurationExceeded;
    if (status.containerExited) return reasons.ContainerExited;
    if (status.signal !== 'SIGKILL') return reasons.Completed;
    // The death of the container's pid namespace kills the session a moment before the container's own end can be seen.
    await within(containerExitGraceMs, launched.containerExited).catch(() => {});
    return stop() ?? reasons.Killed;
  }

  #kill(process: LaunchedProcess): void {
    process.end().catch((error: unknown) => this.#log.error('could not end the processes', { error: describe(error) }));
  }

  /** What the node's helper would have told is lost; that the command is gone is made sure of by ending it. */
  #lost(error: unknown): ProcessExit {
    this.#log.error('lost the exit status of the command', { error: describe(error) });
    this.end(reasons.Internal);
    return { code: 137, signal: 'SIGKILL' };
  }

  async #cleanUp(): Promise<void> {
    const state = this.#state;
    if ((state.phase !== 'ended' && state.phase !== 'failed') || state.launched === undefined) return;
    const { process, release } = state.launched;
    let leftovers: string | undefined;
    for (let attempt = 1; attempt <= cleanupAttempts; attempt += 1) {
      ({ leftovers } = await process.cleanup().catch((error: unknown) => ({ leftovers: describe(error) })));
      if (leftovers === undefined) break;
      this.#log.warn('the session left something', { leftovers, attempt });
      await sleep(cleanupPauseMs * attempt);
    }
    if (leftovers === undefined) release();
    else this.#deps.observer.teardownFailed();
    this.#become({ ...state, trace: leftovers === undefined ? { cleanedUp: true } : { cleanedUp: false, leftovers } });
  }

  #become(state: State): void {
    this.#state = state;
    this.#deps.onChange(this);
  }
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const message = `The session could not be started in ${ms / 1000} s: look at the node's container runtime and its load, then start it again.`;
    late.reject(new CrashcartError(reasons.Timeout, message));
  }, ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function warningOf({ namespace, name }: DesiredSession, reason: Reason, remainingMs: number): string {
  const seconds = Math.max(1, Math.round(remainingMs / 1000));
  if (reason === reasons.IdleTimeout)
    return `this session ends in ${seconds} s (idleTimeout) unless you type something`;
  return `this session ends in ${seconds} s (maxDuration); more time: kubectl crashcart extend ${name} -n ${namespace}`;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
