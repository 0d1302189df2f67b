import { type Readable, Transform } from 'node:stream';
import { CrashcartError, reasons } from '../../base/errors.ts';

/** The same bytes, as long as they are `bytes` in number: a source that gives less or more fails, whoever reads it. */
export function exactly(source: Readable, bytes: number): Readable {
  let left = bytes;
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      left -= chunk.length;
      if (left < 0) done(wrong(bytes, 'more'));
      else done(null, chunk);
    },
    flush(done) {
      if (left > 0) done(wrong(bytes, 'less'));
      else done();
    },
  });
  source.once('error', (error) => counted.destroy(error));
  source.once('close', () => {
    if (!source.readableEnded) counted.destroy(wrong(bytes, 'less'));
  });
  counted.once('close', () => source.destroy());
  return source.pipe(counted);
}

const wrong = (bytes: number, how: 'more' | 'less'): CrashcartError =>
  new CrashcartError(reasons.AgentLost, `the source of the recording gave ${how} than the ${bytes} bytes that it said`);
