import { CrashcartError, reasons } from '../base/errors.ts';
import { Fields } from './fields.ts';

/**
 * A recording: asciicast v2, a header and then one event a line, `[seconds, code, data]`. Players know `o`, `r` and `m` and skip the others,
 * which are ours: `e` says from which stream the output behind it comes ("1" or "2", without a terminal), `p` up to which byte of the
 * session's output the file goes, so that a restarted agent goes on where the last one stopped. There is never an `i`: what was typed is
 * not recorded.
 */
export const castCodes = { output: 'o', resize: 'r', marker: 'm', stream: 'e', position: 'p' } as const;
export type CastCode = (typeof castCodes)[keyof typeof castCodes];

/** Who, where, why; in the header under `crashcart`. */
export interface RecordedSession {
  readonly namespace: string;
  readonly session: string;
  readonly uid: string;
  readonly pod: string;
  readonly podUid: string;
  readonly container: string;
  readonly profile: string;
  readonly tty: boolean;
  /** Who created the session. */
  readonly user?: string;
  readonly reason?: string;
  readonly auditId?: string;
}

export interface CastHeader {
  readonly version: 2;
  readonly width: number;
  readonly height: number;
  /** Seconds since the epoch: an integer, the format says. */
  readonly timestamp: number;
  readonly title?: string;
  readonly command?: string;
  readonly crashcart: RecordedSession;
}

export interface CastEvent {
  /** Since the start of the recording. */
  readonly seconds: number;
  readonly code: string;
  readonly data: string;
}

export const castMediaType = 'application/x-asciicast';

export const encodeHeader = (header: CastHeader): string => `${JSON.stringify(header)}\n`;

/** Microseconds, as asciinema itself writes them. */
export const encodeEvent = (ms: number, code: CastCode, data: string): string =>
  `[${(ms / 1_000).toFixed(6)}, "${code}", ${JSON.stringify(data)}]\n`;

const maxName = 253;

/** @throws CrashcartError Invalid for what is not the header of a recording of ours */
export function parseHeader(line: string): CastHeader {
  const header = new Fields(parsed(line, 'header'), 'header');
  const about = header.object('crashcart');
  if (header.integer('version', 0, 99) !== 2) throw invalid('the recording is not asciicast v2');
  return {
    version: 2,
    width: header.integer('width', 1, 0xffff),
    height: header.integer('height', 1, 0xffff),
    timestamp: header.integer('timestamp', 0, Number.MAX_SAFE_INTEGER),
    ...header.optional('title', (fields, name) => fields.text(name, 1024)),
    ...header.optional('command', (fields, name) => fields.text(name, maxCommand)),
    crashcart: {
      namespace: about.text('namespace', 63),
      session: about.text('session', maxName),
      uid: about.text('uid', 63),
      pod: about.text('pod', maxName),
      podUid: about.text('podUid', 128),
      container: about.text('container', 63),
      profile: about.text('profile', maxName),
      tty: about.flag('tty'),
      ...about.optional('user', (fields, name) => fields.text(name, 1024)),
      ...about.optional('reason', (fields, name) => fields.text(name, 4096)),
      ...about.optional('auditId', (fields, name) => fields.text(name, 1024)),
    },
  };
}

/** What a header keeps of a long command; the object has all of it. */
export const maxCommand = 4096;

/** @throws CrashcartError Invalid */
export function parseEvent(line: string): CastEvent {
  const event = parsed(line, 'event');
  if (!Array.isArray(event) || event.length < 3) throw invalid('an event of the recording is not [time, code, data]');
  const [seconds, code, data] = event as readonly unknown[];
  if (typeof seconds !== 'number' || seconds < 0 || typeof code !== 'string' || typeof data !== 'string') {
    throw invalid('an event of the recording is not [time, code, data]');
  }
  return { seconds, code, data };
}

function parsed(line: string, what: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new CrashcartError(reasons.Invalid, `the ${what} of the recording is not JSON`, { cause });
  }
}

const invalid = (message: string): CrashcartError => new CrashcartError(reasons.Invalid, message);
