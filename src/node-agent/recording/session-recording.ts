import { defaultShell } from '../../api/names.ts';
import { CrashcartError } from '../../base/errors.ts';
import type { DesiredSession, ObservedExit, ObservedRecording } from '../../wire/agent-protocol.ts';
import { type CastHeader, maxCommand } from '../../wire/asciicast.ts';
import type { Size } from '../../wire/channel.ts';
import type { Recorder } from './recorder.ts';
import type { Recordings } from './recordings.ts';

export interface SessionRecordingOptions {
  readonly recordings: Recordings;
  readonly desired: DesiredSession;
  readonly auditId?: string;
  /** It cannot go on, and the profile says that the session must not either. */
  readonly onEnd: () => void;
  /** What `observe` says is another thing now. */
  readonly onChange: () => void;
}

/** Who attaches or detaches. */
export interface Person {
  readonly user?: string | undefined;
  readonly auditId?: string | undefined;
}

/** What a player takes before the first client has said its size; it is what programs assume of a terminal without one. */
const firstSize: Size = { width: 80, height: 24 };

/** The recording of one session, and what its failure means for the session. */
export class SessionRecording {
  readonly #options: SessionRecordingOptions;
  #recorder: Recorder | undefined;
  #observed: ObservedRecording = { state: 'Recording', bytes: 0 };
  #size: Size | undefined;
  #drain = (): void => {};

  private constructor(options: SessionRecordingOptions) {
    this.#options = options;
  }

  /** @throws CrashcartError RecordingFailed when it cannot begin and the profile demands it */
  static async begin(options: SessionRecordingOptions): Promise<SessionRecording> {
    const recording = new SessionRecording(options);
    await recording.#open((hooks) => options.recordings.begin(headerOf(options), hooks));
    return recording;
  }

  /** Goes on with what an earlier agent wrote. @throws CrashcartError RecordingFailed, as `begin` does */
  static async resume(options: SessionRecordingOptions): Promise<SessionRecording> {
    const recording = new SessionRecording(options);
    const { uid } = options.desired;
    await recording.#open(async (hooks) => (await options.recordings.resume(uid, hooks)).recorder);
    recording.#recorder?.marker('the node agent was restarted');
    return recording;
  }

  observe(): ObservedRecording {
    const { state } = this.#observed;
    return state === 'Recording' ? { state, bytes: this.#recorder?.bytes ?? 0 } : this.#observed;
  }

  /** Output up to here is in the file. */
  get position(): number | undefined {
    return this.#recorder?.failure ? undefined : this.#recorder?.position;
  }

  /** The disk is behind: output has to wait, until `onDrain`. */
  get blocked(): boolean {
    return this.#recorder?.blocked ?? false;
  }

  onDrain(listener: () => void): void {
    this.#drain = listener;
  }

  output(channel: number, payload: Uint8Array): void {
    this.#recorder?.output(channel, payload);
  }

  lost(bytes: number): void {
    this.#recorder?.lost(bytes);
  }

  resized(size: Size): void {
    if (size.width === this.#size?.width && size.height === this.#size.height) return;
    this.#size = size;
    this.#recorder?.resize(size);
  }

  attached(person: Person): void {
    this.#recorder?.marker(`attached: ${nameOf(person)}`);
  }

  detached(person: Person): void {
    this.#recorder?.marker(`detached: ${nameOf(person)}`);
  }

  marker(text: string): void {
    this.#recorder?.marker(text);
  }

  /** The session has ended and its output was handed on. Resolves when the file is on the disk; never rejects. */
  async finish(end: Pick<ObservedExit, 'code' | 'reason'> | CrashcartError): Promise<void> {
    const recorder = this.#recorder;
    if (recorder === undefined) return;
    this.#recorder = undefined;
    const { uid, namespace, name: session } = this.#options.desired;
    const text =
      end instanceof CrashcartError
        ? `failed: ${end.reason}: ${end.message}`
        : `ended: ${end.reason}, exit code ${end.code}`;
    const { bytes, sha256, failure } = await this.#options.recordings.finish(
      recorder,
      { uid, namespace, session },
      text,
    );
    this.#observed = failure
      ? { state: 'Incomplete', bytes, sha256, message: failure.message }
      : { state: 'Complete', bytes, sha256 };
    this.#options.onChange();
  }

  async #open(open: (hooks: { onFailure: (error: CrashcartError) => void; onDrain: () => void }) => Promise<Recorder>) {
    const { desired } = this.#options;
    try {
      this.#recorder = await open({ onFailure: (error) => this.#failed(error), onDrain: () => this.#drain() });
    } catch (caught) {
      const error = CrashcartError.from(caught);
      if (desired.recording?.failure !== 'Continue') throw error;
      this.#observed = { state: 'Incomplete', bytes: 0, message: error.message };
    }
  }

  #failed({ message }: CrashcartError): void {
    const { desired, onEnd, onChange } = this.#options;
    this.#observed = { state: 'Incomplete', bytes: this.#recorder?.bytes ?? 0, message };
    onChange();
    if (desired.recording?.failure !== 'Continue') onEnd();
  }
}

const nameOf = ({ user = 'somebody', auditId }: Person): string =>
  auditId === undefined ? user : `${user} (audit id ${auditId})`;

function headerOf({ desired, auditId }: SessionRecordingOptions): CastHeader {
  const { namespace, name, uid, pod, container, profile, tty, recording, command = defaultShell } = desired;
  return {
    version: 2,
    ...firstSize,
    timestamp: Math.floor(Date.now() / 1_000),
    title: `${namespace}/${name}: pod ${pod.name}, container ${container.name}`,
    command: command.join(' ').slice(0, maxCommand),
    crashcart: {
      namespace,
      session: name,
      uid,
      pod: pod.name,
      podUid: pod.uid,
      container: container.name,
      profile,
      tty,
      ...(recording?.user === undefined ? {} : { user: recording.user }),
      ...(recording?.reason === undefined ? {} : { reason: recording.reason }),
      ...(auditId === undefined ? {} : { auditId }),
    },
  };
}
