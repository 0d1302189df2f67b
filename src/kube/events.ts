import { createHash } from 'node:crypto';
import { eventComponent } from '../api/names.ts';
import { describe } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { KubeClient } from './client.ts';
import { isCode } from './kube-error.ts';
import { resourcePath } from './paths.ts';

export interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

export interface EventText {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

export interface EventRecorder {
  /**
   * Writes it in the background; never throws. The same text on the same object is one Event with a count. `related`: what else it is about.
   * `onWritten` is called once it stands there, and never, where it could not be written.
   */
  record(about: ObjectReference, text: EventText, related?: ObjectReference, onWritten?: () => void): void;
  /** Resolves when everything that was recorded is written, or has failed. */
  flush(): Promise<void>;
}

/** The server's limit is 1024. */
const maxMessageBytes = 1_000;
const maxRemembered = 2_048;
const maxInFlight = 64;
/** A condition that flaps must not become a write for each flap. */
const repeatMs = 60_000;

export interface EventRecorderOptions {
  readonly client: Pick<KubeClient, 'request'>;
  /** Which replica: goes to `reportingInstance`. */
  readonly instance: string;
  readonly log: Logger;
  readonly now?: () => Date;
}

interface Said {
  readonly about: ObjectReference;
  readonly text: EventText;
  readonly related: ObjectReference | undefined;
}

export function createEventRecorder({
  client,
  instance,
  log,
  now = () => new Date(),
}: EventRecorderOptions): EventRecorder {
  const counts = new Map<string, { count: number; at: number }>();
  const inFlight = new Set<Promise<void>>();

  const write = async ({ about, text, related }: Said, name: string, count: number): Promise<void> => {
    const { namespace } = about;
    const time = now().toISOString();
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      involvedObject: about,
      ...(related ? { related } : {}),
      ...text,
      message: text.message.slice(0, maxMessageBytes),
      source: { component: eventComponent },
      reportingComponent: eventComponent,
      reportingInstance: instance,
      firstTimestamp: time,
      lastTimestamp: time,
      count,
    };
    try {
      await client.request({ method: 'POST', path: resourcePath('v1', 'events', { namespace }), body: event });
    } catch (caught) {
      if (!isCode(caught, 409)) throw caught;
      await client.request({
        method: 'PATCH',
        path: resourcePath('v1', 'events', { namespace, name }),
        contentType: 'application/merge-patch+json',
        body: { count: Math.max(2, count), lastTimestamp: time },
      });
    }
  };

  return {
    record(about, text, related, onWritten) {
      const name = eventName(about, text, related);
      const at = now().getTime();
      const before = counts.get(name);
      if ((before && at - before.at < repeatMs) || inFlight.size >= maxInFlight) return;
      const count = (before?.count ?? 0) + 1;
      counts.delete(name);
      counts.set(name, { count, at });
      const oldest = counts.keys().next().value;
      if (counts.size > maxRemembered && oldest !== undefined) counts.delete(oldest);
      const writing = write({ about, text, related }, name, count)
        .then(onWritten)
        .catch((caught) =>
          log.warn('event not written', { event: text.reason, object: about.name, error: describe(caught) }),
        )
        .finally(() => inFlight.delete(writing));
      inFlight.add(writing);
    },
    async flush() {
      await Promise.allSettled(inFlight);
    },
  };
}

/** Made of what it says, so that another leader that says it again meets the same Event. */
function eventName(about: ObjectReference, { reason, message }: EventText, related?: ObjectReference): string {
  const hash = createHash('sha256')
    .update(`${about.kind}\0${about.uid}\0${related?.uid ?? ''}\0${reason}\0${message}`)
    .digest('hex')
    .slice(0, 16);
  return `${about.name.slice(0, 230)}.${hash}`;
}
