import type { Readable } from 'node:stream';
import type { WebSocket } from 'ws';
import { channels, encodeMessage } from '../wire/channel.ts';

/** Payload of one message: readers in Go have buffers of this size. */
const pieceBytes = 32 * 1024;
/** What may wait in memory for a slow network, and how far it must have gone before more is read. */
const highWater = 1024 * 1024;
const lowWater = 256 * 1024;

/**
 * Sends what can be read from `input`, and its end where the protocol has a word for it (v5). Under v4 the end of input cannot
 * be told: the command does not see it. Returns `stop`.
 */
export function sendInput(input: Readable, socket: WebSocket): () => void {
  const onSent = (): void => {
    if (input.isPaused() && socket.bufferedAmount < lowWater) input.resume();
  };
  const onData = (chunk: Buffer): void => {
    for (let at = 0; at < chunk.length; at += pieceBytes) {
      socket.send(encodeMessage(channels.stdin, chunk.subarray(at, at + pieceBytes)), onSent);
    }
    if (socket.bufferedAmount > highWater) input.pause();
  };
  const onEnd = (): void => {
    if (socket.protocol.startsWith('v5.')) socket.send(Buffer.from([channels.close, channels.stdin]), () => undefined);
  };
  input.on('data', onData);
  input.once('end', onEnd);
  // A terminal that vanished reads as EIO: there will be no more input.
  input.once('error', onEnd);
  return () => {
    input.off('data', onData);
    input.off('end', onEnd);
    input.pause();
  };
}
