import type { Readable } from 'node:stream';
import { CrashcartError, reasons } from '../base/errors.ts';
import type { Message } from './channel.ts';
import { FrameDecoder } from './frames.ts';

export interface FrameSink {
  /** Takes the frame in any case; false asks for a pause until `onDrain`. */
  write(frame: Message): boolean;
  /** Registers the one listener that is told when there is room again. */
  onDrain(listener: () => void): void;
}

/**
 * Carries the frames of a byte stream to `sink`, pausing the stream while the sink is full, so that what waits in between
 * is bounded by one chunk. Resolves when the stream ended between two frames.
 * @throws CrashcartError Invalid for what is not frames; what the stream failed with; AgentLost when it was cut.
 */
export function pumpFrames(source: Readable, sink: FrameSink): Promise<void> {
  const decoder = new FrameDecoder();
  return new Promise((resolve, reject) => {
    const fail = (caught: unknown): void => {
      reject(CrashcartError.from(caught));
      source.destroy();
    };
    sink.onDrain(() => source.resume());
    source.on('data', (chunk: Buffer) => {
      try {
        let room = true;
        for (const frame of decoder.push(chunk)) room = sink.write(frame) && room;
        if (!room) source.pause();
      } catch (caught) {
        fail(caught);
      }
    });
    source.once('end', () => {
      if (decoder.idle) resolve();
      else fail(cut());
    });
    source.once('error', fail);
    source.once('close', () => reject(cut()));
  });
}

const cut = (): CrashcartError => new CrashcartError(reasons.AgentLost, 'the stream was cut off before its end');
