import { createHash } from 'node:crypto';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { silentLogger } from '../../base/log.ts';
import { type CastEvent, type CastHeader, parseEvent, parseHeader } from '../../wire/asciicast.ts';
import { channels } from '../../wire/channel.ts';
import { Recordings, type RecordingsOptions } from './recordings.ts';

let directory: string;

beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'crashcart-recordings-')), 'recordings');
});

afterEach(() => rmSync(join(directory, '..'), { recursive: true, force: true }));

const header = (uid: string, over: Partial<CastHeader['crashcart']> = {}): CastHeader => ({
  version: 2,
  width: 80,
  height: 24,
  timestamp: Math.floor(Date.now() / 1_000),
  crashcart: {
    namespace: 'shop',
    session: 'web-0-x1',
    uid,
    pod: 'web-0',
    podUid: 'pod-uid',
    container: 'web',
    profile: 'general',
    tty: true,
    user: 'alice',
    ...over,
  },
});

const about = (uid: string) => ({ uid, namespace: 'shop', session: 'web-0-x1' });
const open = (over: Partial<RecordingsOptions> = {}) =>
  Recordings.open({
    directory,
    maxBytes: 1024 ** 2,
    totalBytes: 16 * 1024 ** 2,
    keepMs: 1_000,
    log: silentLogger,
    ...over,
  });
const hooks = () => ({ onFailure: vi.fn(), onDrain: vi.fn() });
const file = (uid: string): Buffer => readFileSync(join(directory, `${uid}.cast`));

function read(uid: string): { header: CastHeader; events: readonly CastEvent[] } {
  const [first = '', ...rest] = file(uid).toString().trimEnd().split('\n');
  return { header: parseHeader(first), events: rest.map((line) => parseEvent(line)) };
}
const shown = (uid: string): string =>
  read(uid)
    .events.filter(({ code }) => code === 'o')
    .map(({ data }) => data)
    .join('');

test('what was shown is there in the order and the form of asciicast v2, with its checksum', async () => {
  const recordings = await open();
  const recorder = await recordings.begin(header('a'), hooks());
  recorder.resize({ width: 120, height: 40 });
  recorder.output(channels.stdout, Buffer.from('caf\u00e9 \u001b[1m').subarray(0, 4));
  recorder.output(channels.stdout, Buffer.from('caf\u00e9 \u001b[1m').subarray(4));
  recorder.marker('attached: alice');
  const finished = await recordings.finish(recorder, about('a'), 'ended');
  expect(shown('a')).toBe('caf\u00e9 \u001b[1m');
  const { events } = read('a');
  expect(events.filter(({ code }) => code !== 'o' && code !== 'p')).toMatchObject([
    { code: 'r', data: '120x40' },
    { code: 'm', data: 'attached: alice' },
    { code: 'm', data: 'ended' },
  ]);
  const times = events.map(({ seconds }) => seconds);
  expect(times.toSorted((a, b) => a - b)).toEqual(times);
  expect(file('a').toString()).toMatch(/^\{"version":2,.*\}\n(\[\d+\.\d{6}, "[ormep]", ".*"\]\n)+$/);
  expect(finished).toEqual({
    ...about('a'),
    bytes: file('a').length,
    sha256: createHash('sha256').update(file('a')).digest('hex'),
    complete: true,
  });
  expect(statSync(join(directory, 'a.cast')).mode & 0o777).toBe(0o600);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
});

test('without a terminal: which stream it was stands before it, and line feeds become new lines', async () => {
  const recordings = await open();
  const recorder = await recordings.begin(header('a', { tty: false }), hooks());
  recorder.output(channels.stdout, Buffer.from('out\n'));
  recorder.output(channels.stderr, Buffer.from('err\n'));
  recorder.output(channels.stdout, Buffer.from('out\n'));
  await recordings.finish(recorder, about('a'), 'ended');
  expect(read('a').events.filter(({ code }) => code === 'o' || code === 'e')).toMatchObject([
    { code: 'o', data: 'out\r\n' },
    { code: 'e', data: '2' },
    { code: 'o', data: 'err\r\n' },
    { code: 'e', data: '1' },
    { code: 'o', data: 'out\r\n' },
  ]);
});

test('bytes that are no text are no error', async () => {
  const recordings = await open();
  const recorder = await recordings.begin(header('a'), hooks());
  recorder.output(channels.stdout, Uint8Array.from([0xff, 0xfe, 0x00, 0x41, 0xe2]));
  await recordings.finish(recorder, about('a'), 'ended');
  expect(shown('a')).toBe('\ufffd\ufffd\u0000A\ufffd');
});

test('an agent that was killed in the middle of a line: the next one goes on in the same file, at the byte that it had reached', async () => {
  const first = await open();
  const before = await first.begin(header('a'), hooks());
  before.output(channels.stdout, Buffer.from('one€'));
  before.output(channels.stdout, Buffer.from('€').subarray(0, 2));
  await vi.waitFor(() => expect(before.position).toBe(6));
  // What a SIGKILL leaves: whole lines without a position, and half a line.
  appendFileSync(join(directory, 'a.cast'), '[9.000000, "o", "lost"]\n[9.500000, "o", "ha');
  const second = await open();
  const { recorder } = await second.resume('a', hooks());
  expect(recorder.position).toBe(6);
  recorder.output(channels.stdout, Buffer.from('€two'));
  const finished = await second.finish(recorder, about('a'), 'ended');
  expect(shown('a')).toBe('one€€two');
  expect(finished.sha256).toBe(createHash('sha256').update(file('a')).digest('hex'));
  const times = read('a').events.map(({ seconds }) => seconds);
  expect(times.toSorted((a, b) => a - b)).toEqual(times);
});

test('what an earlier agent left and nobody goes on with is finished, and says so', async () => {
  const first = await open();
  const recorder = await first.begin(header('a'), hooks());
  recorder.output(channels.stdout, Buffer.from('x'));
  await vi.waitFor(() => expect(recorder.position).toBe(1));
  const second = await open();
  await second.recover(new Set(['b']));
  expect(second.list()).toMatchObject([{ uid: 'a', session: 'web-0-x1', complete: true }]);
  expect(read('a').events.at(-2)).toMatchObject({ code: 'm', data: expect.stringContaining('was stopped') });
  expect(await (await open()).list()).toEqual(second.list());
});

test('the bound of a recording: it stops with a marker that says so, and is told once', async () => {
  const recordings = await open({ maxBytes: 64 * 1024 });
  const heard = hooks();
  const recorder = await recordings.begin(header('a'), heard);
  for (let i = 0; i < 100; i += 1) {
    recorder.output(channels.stdout, Buffer.alloc(1024, 'x'));
  }
  const finished = await recordings.finish(recorder, about('a'), 'ended');
  expect(finished).toMatchObject({ complete: false, failure: { reason: 'RecordingFailed' } });
  expect(finished.failure?.message).toContain('its bound of 65536 bytes');
  expect(heard.onFailure).toHaveBeenCalledTimes(1);
  expect(finished.bytes).toBeLessThanOrEqual(64 * 1024);
  expect(finished.bytes).toBeGreaterThan(45 * 1024);
  expect(read('a').events.at(-2)?.data).toContain('recording stopped: the recording has reached its bound');
});

test('the bound of a node: nothing is pushed out, a new recording is refused, and room comes back with a deletion', async () => {
  const recordings = await open({ totalBytes: 4096 });
  const recorder = await recordings.begin(header('a'), hooks());
  recorder.output(channels.stdout, Buffer.alloc(3_640, 'x'));
  const { sha256 } = await recordings.finish(recorder, about('a'), 'ended');
  await expect(recordings.begin(header('b'), hooks())).rejects.toMatchObject({ reason: 'RecordingFailed' });
  expect(recordings.list()).toHaveLength(1);
  await expect(recordings.remove('a', '0'.repeat(64))).rejects.toMatchObject({ reason: 'Invalid' });
  await recordings.remove('a', sha256);
  await recordings.remove('a', sha256);
  expect(readdirSync(directory).filter((name) => name.startsWith('a'))).toEqual([]);
  const again = await recordings.begin(header('c'), hooks());
  await recordings.finish(again, about('c'), 'ended');
});

test('a session’s recording is never written over, and one that is written is not removed', async () => {
  const recordings = await open();
  const recorder = await recordings.begin(header('a'), hooks());
  await expect(recordings.begin(header('a'), hooks())).rejects.toMatchObject({ reason: 'RecordingFailed' });
  await expect(recordings.remove('a', '')).rejects.toMatchObject({ reason: 'Invalid' });
  await recordings.finish(recorder, about('a'), 'ended');
});

test('it is read in parts, while it is written too', async () => {
  const recordings = await open();
  const recorder = await recordings.begin(header('a'), hooks());
  const part = await recordings.read('a', 2, 9);
  expect((await buffer(part.bytes!)).toString()).toBe('version":');
  expect(part.length).toBe(recorder.bytes);
  expect(await recordings.read('a', part.length, 9)).toEqual({ length: part.length });
  await recordings.finish(recorder, about('a'), 'ended');
  await expect(recordings.read('b', 0, 1)).rejects.toMatchObject({ reason: 'NotFound' });
  await expect(recordings.read('../a', 0, 1)).rejects.toMatchObject({ reason: 'Invalid' });
});

test('an old one is deleted, a new one is not', async () => {
  let now = Date.now();
  const recordings = await open({ now: () => now });
  await recordings.finish(await recordings.begin(header('a'), hooks()), about('a'), 'ended');
  await recordings.expire();
  expect(recordings.list()).toHaveLength(1);
  now += 10_000;
  await recordings.expire();
  expect(recordings.list()).toEqual([]);
  expect(readdirSync(directory)).toEqual([]);
  expect(recordings.usedBytes).toBe(0);
});

test('a disk that is behind makes the command wait', async () => {
  const recordings = await open({ maxBytes: 16 * 1024 ** 2 });
  const heard = hooks();
  const recorder = await recordings.begin(header('a'), heard);
  let delivered = 0;
  while (!recorder.blocked && delivered < 100) {
    recorder.output(channels.stdout, Buffer.alloc(32 * 1024, 'x'));
    delivered += 1;
  }
  expect(delivered).toBeLessThan(40);
  await vi.waitFor(() => expect(heard.onDrain).toHaveBeenCalled());
  expect(recorder.blocked).toBe(false);
  await recordings.finish(recorder, about('a'), 'ended');
  expect(shown('a').length).toBe(delivered * 32 * 1024);
});

test('without a terminal: what goes on says anew which stream it is', async () => {
  const first = await (await open()).begin(header('a', { tty: false }), hooks());
  first.output(channels.stdout, Buffer.from('out\n'));
  first.output(channels.stderr, Buffer.from('err\n'));
  await vi.waitFor(() => expect(first.position).toBe(8));
  const recordings = await open();
  const { recorder } = await recordings.resume('a', hooks());
  expect(recorder.position).toBe(8);
  recorder.output(channels.stdout, Buffer.from('more\n'));
  await recordings.finish(recorder, about('a'), 'ended');
  expect(read('a').events.filter(({ code }) => code === 'o' || code === 'e')).toMatchObject([
    { code: 'o', data: 'out\r\n' },
    { code: 'e', data: '2' },
    { code: 'o', data: 'err\r\n' },
    { code: 'e', data: '1' },
    { code: 'o', data: 'more\r\n' },
  ]);
});

test('output that is gone before it could be written fails the recording: what came after it would be another one', async () => {
  const recordings = await open();
  const heard = hooks();
  const recorder = await recordings.begin(header('a'), heard);
  recorder.output(channels.stdout, Buffer.from('seen'));
  await vi.waitFor(() => expect(recorder.position).toBe(4));
  recorder.lost(17);
  recorder.output(channels.stdout, Buffer.from('later'));
  expect(heard.onFailure).toHaveBeenCalledOnce();
  expect(await recordings.finish(recorder, about('a'), 'ended')).toMatchObject({
    complete: false,
    failure: { reason: 'RecordingFailed', message: expect.stringMatching(/17 bytes of output were gone/) },
  });
  expect(shown('a')).toBe('seen');
});

test('a recording that was finished is not gone on with', async () => {
  const recordings = await open();
  const recorder = await recordings.begin(header('a'), hooks());
  await recordings.finish(recorder, about('a'), 'ended');
  const before = file('a');
  await expect(recordings.resume('a', hooks())).rejects.toMatchObject({ reason: 'RecordingFailed' });
  expect(file('a')).toEqual(before);
});
