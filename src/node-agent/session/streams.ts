import { Readable, Writable } from 'node:stream';
import { channels } from '../../wire/channel.ts';
import type { SessionInput, SessionOutput } from './request.ts';

export interface SessionStreams {
  readonly stdout: Readable;
  readonly stderr?: Readable;
  readonly stdin?: Writable;
}

const pieceBytes = 64 * 1024;

/** A session's output and input as streams, for those who read all of it from its start. Not reading one of them pauses the command. */
export function streamsOf(output: SessionOutput, input: SessionInput | undefined, tty: boolean): SessionStreams {
  let position = 0;
  const full = new Set<Readable>();
  const pump = (): void => {
    while (full.size === 0) {
      const piece = output.read(position, pieceBytes);
      if (piece === undefined) break;
      position = piece.position + piece.payload.length;
      const to = piece.channel === channels.stderr && stderr ? stderr : stdout;
      if (!to.destroyed && !to.push(piece.payload)) full.add(to);
      output.keep(position);
    }
    if (!output.ended || position < output.head) return;
    stop();
    for (const stream of [stdout, stderr]) if (stream && !stream.destroyed) stream.push(null);
  };
  const open = (): Readable => {
    const stream: Readable = new Readable({
      highWaterMark: pieceBytes,
      read: () => {
        if (full.delete(stream)) pump();
      },
      destroy: (error, done) => {
        full.delete(stream);
        done(error);
        queueMicrotask(pump);
      },
    });
    return stream;
  };
  const stdout = open();
  const stderr = tty ? undefined : open();
  const stop = output.onChange(pump);
  queueMicrotask(pump);
  return { stdout, ...(stderr ? { stderr } : {}), ...(input ? { stdin: inputStream(output, input) } : {}) };
}

function inputStream(output: SessionOutput, input: SessionInput): Writable {
  let waiting: (() => void) | undefined;
  const stop = output.onChange(() => waiting?.());
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      let sent = 0;
      const step = (): void => {
        // A command that stops reading its input is no error of ours.
        if (input.open) sent += input.write(chunk.subarray(sent));
        waiting = sent < chunk.length && input.open ? step : undefined;
        if (waiting === undefined) done();
      };
      step();
    },
    final: (done) => {
      input.end();
      done();
    },
    destroy: (error, done) => {
      stop();
      waiting = undefined;
      input.end();
      done(error);
    },
  });
}
