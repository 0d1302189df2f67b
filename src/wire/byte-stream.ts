import { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';

/** Of one message. TLS hands over all that was written meanwhile in one piece, of any length; a receiver must have a bound. */
export const maxBytesMessage = 64 * 1024;

/** A WebSocket as a byte stream: the borders of its messages mean nothing. Who does not read holds the other end up. */
export function byteStream(socket: WebSocket): Duplex {
  const stream = new Duplex({
    read: () => socket.resume(),
    write(chunk: Buffer, _encoding, done) {
      let at = 0;
      for (; at + maxBytesMessage < chunk.length; at += maxBytesMessage) {
        socket.send(chunk.subarray(at, at + maxBytesMessage));
      }
      socket.send(chunk.subarray(at), done);
    },
    final(done) {
      socket.close();
      done();
    },
    destroy(error, done) {
      socket.terminate();
      done(error);
    },
  });
  socket.on('message', (data: Buffer) => {
    if (!stream.push(data)) socket.pause();
  });
  socket.on('error', (error) => stream.destroy(error));
  socket.once('close', () => stream.destroy());
  return stream;
}
