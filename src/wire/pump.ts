import type { Readable } from 'node:stream';
import { CrashcartError, reasons } from '../base/errors.ts';
import { FrameDecoder, type ReceivedFrame } from './frames.ts';

export interface FrameSink {
  /** False: the frame was not taken; the same one comes again after `onDrain`'s listener was called. */
  write(frame: ReceivedFrame): boolean;
  /** Registers the one listener that is told when there is room again. */
  onDrain(listener: () => void): void;
}

/**
 * Carries the frames of a byte stream to `sink`, pausing the stream while the sink is full, so that what waits in between
 * is bounded by one chunk. Resolves when the stream ended between two frames and all of them were taken.
 * @throws CrashcartError Invalid for what is not frames; AgentLost when the stream failed or was cut. The stream is
 * destroyed then.
 */
export function pumpFrames(source: Readable, sink: FrameSink): Promise<void> {
  const decoder = new FrameDecoder();
  let frames: Iterator<ReceivedFrame> | undefined;
  let held: ReceivedFrame | undefined;
  let ended = false;

  return new Promise((resolve, reject) => {
    const fail = (caught: unknown): void => {
      reject(caught instanceof CrashcartError ? caught : cut(caught));
      source.destroy();
    };
    const finish = (): void => {
      if (decoder.idle) resolve();
      else fail(cut());
    };
    /** False when the sink is full. */
    const handOver = (): boolean => {
      for (;;) {
        held ??= next(frames);
        if (held === undefined) return true;
        if (!sink.write(held)) return false;
        held = undefined;
      }
    };
    const flow = (): void => {
      try {
        if (!handOver()) source.pause();
        else if (ended) finish();
        else if (source.isPaused()) source.resume();
      } catch (caught) {
        fail(caught);
      }
    };
    sink.onDrain(flow);
    source.on('data', (chunk: Buffer) => {
      frames = decoder.push(chunk);
      flow();
    });
    // 'end' may come although the stream was paused in the handler of its last chunk.
    source.once('end', () => {
      ended = true;
      if (held === undefined) finish();
    });
    source.once('error', fail);
    source.once('close', () => {
      if (!ended) fail(cut());
    });
  });
}

function next(frames: Iterator<ReceivedFrame> | undefined): ReceivedFrame | undefined {
  const step = frames?.next();
  return step === undefined || step.done ? undefined : step.value;
}

const cut = (cause?: unknown): CrashcartError =>
  new CrashcartError(reasons.AgentLost, 'the stream was cut off before its end', cause === undefined ? {} : { cause });
