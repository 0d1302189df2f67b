import { CrashcartError, reasons } from '../base/errors.ts';

/**
 * The channels of `v5.channel.k8s.io`: the first byte of every binary message. `resume` is ours (resume.ts), and used only with a client that
 * asked for it.
 */
export const channels = { stdin: 0, stdout: 1, stderr: 2, status: 3, resize: 4, resume: 100, close: 255 } as const;

/** In our order of preference. v5 is v4 plus the close channel: without it a client cannot say "end of input". */
export const protocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] as const;
export type Protocol = (typeof protocols)[number];

export interface Size {
  /** Columns, 1..65535. */
  readonly width: number;
  /** Rows, 1..65535. */
  readonly height: number;
}

export interface Message {
  readonly channel: number;
  readonly payload: Buffer;
}

/** A terminal size is two small numbers: whatever is longer is not one. */
const maxResizeBytes = 256;

/** One byte of channel, then the payload. */
export function encodeMessage(channel: number, payload: Uint8Array): Buffer {
  const message = Buffer.allocUnsafe(payload.length + 1);
  message[0] = channel;
  message.set(payload, 1);
  return message;
}

/** @throws CrashcartError Invalid for an empty message. The payload shares the message's memory. */
export function decodeMessage(message: Buffer): Message {
  const channel = message[0];
  if (channel === undefined) {
    throw new CrashcartError(reasons.Invalid, 'a WebSocket message was empty: the first byte must name its channel');
  }
  return { channel, payload: message.subarray(1) };
}

/** The spelling of client-go's `TerminalSize`, which has no JSON tags. */
export const resizePayload = (size: Size): Buffer =>
  Buffer.from(JSON.stringify({ Width: size.width, Height: size.height }));

/** Undefined for whatever is not a size. Go decodes names case-insensitively and clients rely on it: so do we. */
export function parseResize(payload: Uint8Array): Size | undefined {
  if (payload.length > maxResizeBytes) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(payload).toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = new Map(Object.entries(value).map(([key, field]) => [key.toLowerCase(), field]));
  const [width, height] = [fields.get('width'), fields.get('height')];
  return isLength(width) && isLength(height) ? { width, height } : undefined;
}

const isLength = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 0xffff;
