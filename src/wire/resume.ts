import { CrashcartError, reasons } from '../base/errors.ts';

/**
 * Coming back to a stream. A client asks with `?resume=tail` or `?resume=POSITION&client=ID`; then both ends also speak on the channel
 * `resume`, in JSON. Positions count bytes of output from the session's start, stdout and stderr together.
 */
export interface ResumeRequest {
  /** What the client has already; left out (`tail`): it has nothing, and wants the last of it. */
  readonly position?: number;
  /** Names the client over its connections, so that no byte of its input counts twice. */
  readonly id: bigint;
  /** What it was told as its `turn`: it comes back as what it was. */
  readonly turn?: number;
}

/** How much input a client that comes back may have sent without a word that it was taken. So much of it waits at the agent, not on the way: no word of the client waits behind it. */
export const unconfirmedInputBytes = 1024 * 1024;

/** From the session. `position`: of the next byte of output. `lost`: so many bytes before it are gone. */
export interface Resumption {
  readonly position?: number;
  readonly lost?: number;
  /** How many bytes of this client's input were taken; null: it is not remembered any more. */
  readonly input?: number | null;
  /** When it began to type, ms since the epoch: the client with the latest turn is the writer. */
  readonly turn?: number;
  /** For the person. */
  readonly notice?: string;
}

/** From the client: what it has written out, and that it goes on purpose and will not come back for the rest. */
export interface Progress {
  readonly position?: number;
  readonly leaving?: boolean;
}

const maxMessageBytes = 1024;
const maxNoticeLength = 512;
const idPattern = /^[0-9a-f]{16}$/;

export const encodeResumption = (resumption: Resumption): Buffer => Buffer.from(JSON.stringify(resumption));
export const encodeProgress = (progress: Progress): Buffer => Buffer.from(JSON.stringify(progress));

/** @throws CrashcartError Invalid */
export function parseResumeQuery(query: URLSearchParams): ResumeRequest | undefined {
  const from = query.get('resume');
  if (from === null) return undefined;
  const client = query.get('client') ?? '';
  if (!idPattern.test(client) || /^0+$/.test(client)) {
    throw new CrashcartError(reasons.Invalid, 'client must be 16 hexadecimal digits that are not all 0');
  }
  const id = BigInt(`0x${client}`);
  if (from === 'tail') return { id };
  const position = Number(from);
  if (!/^\d{1,16}$/.test(from) || !Number.isSafeInteger(position)) {
    throw new CrashcartError(reasons.Invalid, 'resume must be "tail" or a number of bytes');
  }
  const turn = Number(query.get('turn') ?? '');
  return { position, id, ...(Number.isSafeInteger(turn) && turn > 0 ? { turn } : {}) };
}

/** The same, for the next leg of the way. */
export const resumeQuery = ({ position, id, turn }: ResumeRequest): Readonly<Record<string, string>> => ({
  resume: position === undefined ? 'tail' : String(position),
  client: id.toString(16).padStart(16, '0'),
  ...(turn === undefined ? {} : { turn: String(turn) }),
});

/** Undefined for what is no such message. */
export function parseResumption(payload: Uint8Array): Resumption | undefined {
  const value = parse(payload);
  if (value === undefined) return undefined;
  const { position, lost, input, turn, notice } = value;
  return {
    ...(isCount(position) ? { position } : {}),
    ...(isCount(lost) ? { lost } : {}),
    ...(isCount(input) || input === null ? { input } : {}),
    ...(isCount(turn) ? { turn } : {}),
    ...(typeof notice === 'string' ? { notice: notice.slice(0, maxNoticeLength) } : {}),
  };
}

/** Undefined for what is no such message. */
export function parseProgress(payload: Uint8Array): Progress | undefined {
  const value = parse(payload);
  if (value === undefined) return undefined;
  const { position, leaving } = value;
  return { ...(isCount(position) ? { position } : {}), ...(leaving === true ? { leaving } : {}) };
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

function parse(payload: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  if (payload.length > maxMessageBytes) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(payload).toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}
