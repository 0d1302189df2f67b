import { CrashcartError, reasons } from '../base/errors.ts';
import { limits } from './agent-protocol.ts';
import type { Message } from './channel.ts';

/**
 * The body of an attach stream in the tunnel: 1 byte channel, 4 bytes big-endian length, payload. Channels mean what they
 * mean in v5.channel.k8s.io, so that the gateway only changes the envelope.
 */
const headerBytes = 5;

export interface ReceivedFrame extends Message {
  /** The same as a WebSocket message: the channel's byte, then the payload. Shares the payload's memory. */
  readonly message: Buffer;
}

/** @throws CrashcartError Invalid for a payload over `limits.framePayloadBytes`: cut it with `slices` first. */
export function encodeFrame(channel: number, payload: Uint8Array): Buffer {
  if (payload.length > limits.framePayloadBytes) {
    throw new CrashcartError(reasons.Invalid, `a frame of ${payload.length} bytes is over ${limits.framePayloadBytes}`);
  }
  const frame = Buffer.allocUnsafe(headerBytes + payload.length);
  frame[0] = channel;
  frame.writeUInt32BE(payload.length, 1);
  frame.set(payload, headerBytes);
  return frame;
}

/** The payload in pieces that fit a frame; nothing for an empty one. */
export function* slices(payload: Buffer): Generator<Buffer, void, undefined> {
  for (let at = 0; at < payload.length; at += limits.framePayloadBytes) {
    yield payload.subarray(at, at + limits.framePayloadBytes);
  }
}

/** Reassembles frames from chunks of any size. Holds one partial frame at most. */
export class FrameDecoder {
  readonly #header = Buffer.alloc(headerBytes);
  #headerFilled = 0;
  #message: Buffer | undefined;
  #messageFilled = 0;

  /**
   * The frames that `chunk` completes. Takes the chunk over: a frame that lies whole in it shares its memory, and the byte before
   * its payload becomes the channel's, so that the gateway copies nothing. Iterate to the end before the next push.
   * @throws CrashcartError Invalid for a length over the limit; the stream is unusable then.
   */
  *push(chunk: Buffer): Generator<ReceivedFrame, void, undefined> {
    let at = 0;
    while (at < chunk.length) {
      if (this.#message === undefined) {
        at += this.#fillHeader(chunk, at);
        if (this.#headerFilled < headerBytes) return;
        const length = this.#payloadLength();
        // At least the last byte of the header was in this chunk: it may be written over.
        if (chunk.length - at >= length) {
          yield this.#finish(chunk.subarray(at - 1, at + length));
          at += length;
          continue;
        }
        this.#message = Buffer.allocUnsafe(1 + length);
        this.#messageFilled = 1;
      }
      const copied = chunk.copy(this.#message, this.#messageFilled, at);
      at += copied;
      this.#messageFilled += copied;
      if (this.#messageFilled === this.#message.length) yield this.#finish(this.#message);
    }
  }

  /** True between frames: the stream may end here without having lost anything. */
  get idle(): boolean {
    return this.#headerFilled === 0;
  }

  #fillHeader(chunk: Buffer, at: number): number {
    const copied = chunk.copy(this.#header, this.#headerFilled, at);
    this.#headerFilled += copied;
    return copied;
  }

  #payloadLength(): number {
    const length = this.#header.readUInt32BE(1);
    if (length > limits.framePayloadBytes) {
      throw new CrashcartError(
        reasons.Invalid,
        `the other end of the tunnel sent a frame of ${length} bytes, over ${limits.framePayloadBytes}`,
      );
    }
    return length;
  }

  #finish(message: Buffer): ReceivedFrame {
    const channel = this.#header.readUInt8(0);
    message[0] = channel;
    this.#headerFilled = 0;
    this.#message = undefined;
    return { channel, payload: message.subarray(1), message };
  }
}
