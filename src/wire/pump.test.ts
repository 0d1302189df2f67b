import { PassThrough, Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { encodeFrame } from './frames.ts';
import { type FrameSink, pumpFrames } from './pump.ts';

/** Takes `room` frames at a time. */
function sinkOf(room: number) {
  const taken: string[] = [];
  let left = room;
  let drain = (): void => {};
  const sink: FrameSink = {
    write({ payload }) {
      if (left === 0) return false;
      left -= 1;
      taken.push(payload.toString());
      return true;
    },
    onDrain(listener) {
      drain = () => {
        left = room;
        listener();
      };
    },
  };
  return { sink, taken, drain: () => drain() };
}

const chunk = (...payloads: string[]) => Buffer.concat(payloads.map((payload) => encodeFrame(1, Buffer.from(payload))));
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('a full sink gets the same frame again, and none is lost or doubled', async () => {
  const { sink, taken, drain } = sinkOf(2);
  const done = pumpFrames(Readable.from([chunk('a', 'b', 'c', 'd', 'e')]), sink);
  await turn();
  expect(taken).toEqual(['a', 'b']);
  drain();
  await turn();
  expect(taken).toEqual(['a', 'b', 'c', 'd']);
  drain();
  await done;
  expect(taken).toEqual(['a', 'b', 'c', 'd', 'e']);
});

test('nothing is read while the sink is full', async () => {
  const source = new PassThrough();
  const { sink, drain } = sinkOf(1);
  const done = pumpFrames(source, sink);
  source.write(chunk('a', 'b'));
  await turn();
  expect(source.isPaused()).toBe(true);
  drain();
  await turn();
  expect(source.isPaused()).toBe(false);
  source.end();
  await done;
});

test('an end inside of a frame is a cut, not an end', async () => {
  const whole = chunk('abc');
  await expect(pumpFrames(Readable.from([whole.subarray(0, 6)]), sinkOf(9).sink)).rejects.toMatchObject({
    reason: 'AgentLost',
  });
});

test('a stream that is destroyed rejects, even while the sink is full', async () => {
  const source = new PassThrough();
  const done = pumpFrames(source, sinkOf(0).sink);
  source.write(chunk('a'));
  await turn();
  source.destroy();
  await expect(done).rejects.toMatchObject({ reason: 'AgentLost' });
});

test('what is not frames destroys the stream', async () => {
  const source = new PassThrough();
  const done = pumpFrames(source, sinkOf(9).sink);
  source.write(Buffer.from('GET / HTTP/1.1'));
  await expect(done).rejects.toMatchObject({ reason: 'Invalid' });
  expect(source.destroyed).toBe(true);
});
