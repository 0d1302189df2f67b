import http2, { type ServerHttp2Stream } from 'node:http2';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { limits, recordedHeader } from '../../wire/agent-protocol.ts';
import { encodeFrame } from '../../wire/frames.ts';
import { pumpFrames } from '../../wire/pump.ts';
import { parseResumeQuery } from '../../wire/resume.ts';
import type { Attachment, AttachRequest, Frame, Sessions } from '../sessions/sessions.ts';

/** Node's own mark for a stream is 16 KiB, less than a frame: it would send one frame a round. */
const highWaterBytes = 256 * 1024;

/**
 * Answers 200 once the session's command runs and carries frames both ways until the session's end, or until the gateway lets go:
 * then it detaches and the session goes on. A gateway that does not read stops the session's output.
 * @throws CrashcartError to refuse, before anything was answered
 */
export async function serveAttach(
  stream: ServerHttp2Stream,
  sessions: Pick<Sessions, 'attach'>,
  uid: string,
  request: AttachRequest,
): Promise<void> {
  const attachment = await sessions.attach(uid, request);
  if (stream.destroyed || stream.closed) {
    attachment.close();
    return;
  }
  stream.once('close', () => attachment.close());
  stream.respond({
    ':status': 200,
    'content-type': 'application/octet-stream',
    ...(attachment.recorded ? { [recordedHeader]: 'Full' } : {}),
  });
  sendOutput(attachment, stream);
  receiveInput(attachment, stream);
}

function sendOutput({ output }: Attachment, stream: ServerHttp2Stream): void {
  const broken = (): void => {
    // A normal end here would look like a session without a status: the gateway must see that it was cut.
    if (!stream.destroyed) stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  };
  output.on('data', ({ channel, payload }: Frame) => {
    if (stream.writableEnded || stream.destroyed) return;
    if (payload.length > limits.framePayloadBytes) {
      output.destroy(new CrashcartError(reasons.Internal, `a session gave a frame of ${payload.length} bytes`));
      return;
    }
    stream.write(encodeFrame(channel, payload));
    if (stream.writableLength > highWaterBytes) output.pause();
  });
  stream.on('drain', () => output.resume());
  output.once('end', () => stream.end());
  output.once('error', broken);
  output.once('close', () => {
    if (!output.readableEnded) broken();
  });
}

function receiveInput(attachment: Attachment, stream: ServerHttp2Stream): void {
  const sink = {
    write: (frame: Frame) => attachment.input(frame),
    onDrain: (listener: () => void) => {
      const stop = attachment.onDrain(listener);
      stream.once('close', stop);
    },
  };
  // The gateway keeps its half open until the end. That it was cut is what 'close' says; what is not frames ends the stream.
  pumpFrames(stream, sink).catch(() => undefined);
}

/** The query of an attach, by the names of pods/attach. @throws CrashcartError Invalid */
export function parseAttachQuery(
  query: URLSearchParams,
): Pick<AttachRequest, 'stdin' | 'stdout' | 'stderr' | 'tty' | 'observe' | 'resume'> {
  const flag = (name: string): boolean => {
    const value = query.get(name) ?? 'false';
    if (value === 'true' || value === 'false') return value === 'true';
    throw new CrashcartError(reasons.Invalid, `${name} must be true or false`);
  };
  const resume = parseResumeQuery(query);
  return {
    stdin: flag('stdin'),
    stdout: flag('stdout'),
    stderr: flag('stderr'),
    tty: flag('tty'),
    observe: flag('observe'),
    ...(resume ? { resume } : {}),
  };
}
