import type { Readable } from 'node:stream';
import type { WebSocket } from 'ws';
import { channels, encodeMessage } from '../wire/channel.ts';
import type { Carried } from './carried.ts';

/** Payload of one message: half a frame, and what a read of a pipe gives. */
const pieceBytes = 32 * 1024;
/** What may wait in memory for a slow network, and how far it must have gone before more is read. */
const highWater = 1024 * 1024;
const lowWater = 256 * 1024;

/** Between what is typed and the session: answers what to send, and acts on what is for us. */
export type Filter = (typed: Buffer) => Buffer;

/**
 * Sends what can be read from `input`, and its end where the protocol has a word for it (v5). Under v4 the end of input cannot
 * be told: the command does not see it. What an earlier connection did not bring over is sent first, by `replay`, once it is known. Answers
 * how to stop, and what to do when input was confirmed.
 */
export function sendInput(
  input: Readable,
  socket: WebSocket,
  carried: Carried,
  filter: Filter,
): { readonly stop: () => void; readonly confirmed: () => void; readonly replay: () => void } {
  const flow = (): void => {
    if (input.isPaused() && !carried.full && socket.bufferedAmount < lowWater) input.resume();
  };
  const send = (chunk: Buffer): void => {
    for (let at = 0; at < chunk.length; at += pieceBytes) {
      socket.send(encodeMessage(channels.stdin, chunk.subarray(at, at + pieceBytes)), flow);
    }
  };
  const onData = (typed: Buffer): void => {
    const chunk = filter(typed);
    if (chunk.length === 0) return;
    carried.sent(chunk);
    send(chunk);
    if (carried.full || socket.bufferedAmount > highWater) input.pause();
  };
  const sendEnd = (): void => {
    if (socket.protocol.startsWith('v5.')) socket.send(Buffer.from([channels.close, channels.stdin]), () => undefined);
  };
  const onEnd = (): void => {
    carried.inputEnded = true;
    sendEnd();
  };
  const start = (): void => {
    input.on('data', onData);
    input.once('end', onEnd);
    // A terminal that vanished reads as EIO: there will be no more input.
    input.once('error', onEnd);
  };
  // Nothing overtakes what the last connection may have lost.
  if (!carried.resumable) start();
  return {
    stop: () => {
      input.off('data', onData);
      input.off('end', onEnd);
      input.off('error', onEnd);
      input.pause();
    },
    confirmed: flow,
    replay: () => {
      for (const chunk of carried.unconfirmed) send(chunk);
      if (carried.inputEnded) return sendEnd();
      start();
      // The last connection left it paused, and a listener alone does not change that.
      flow();
    },
  };
}
