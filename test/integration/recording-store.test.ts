/** Where recordings go: the same tests against a directory and a real S3 server, and the way from a node through its tunnel. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DebugSession, RecordingStatus } from '../../src/api/debug-session.ts';
import { silentLogger } from '../../src/base/log.ts';
import { RecordingCollector } from '../../src/controller/recordings.ts';
import { makeSession } from '../../src/controller/session-fixture.ts';
import { DirectoryStore } from '../../src/gateway/recordings/directory-store.ts';
import { S3Store } from '../../src/gateway/recordings/s3-store.ts';
import { type RecordingStore, recordingKey } from '../../src/gateway/recordings/store.ts';
import { startLoopback } from '../support/gateway-loopback.ts';
import { openRecordings, record } from '../support/recorded.ts';
import { type S3Server, startS3Server } from '../support/s3-server.ts';

let directory: string;
let server: S3Server;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'crashcart-store-'));
  mkdirSync(join(directory, 'volume'));
  server = await startS3Server(join(directory, 's3'));
}, 300_000);

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

const s3 = (over: object = {}): S3Store =>
  new S3Store({
    endpoint: server.endpoint,
    region: 'us-east-1',
    bucket: server.bucket,
    prefix: 'crashcart/',
    credentials: server.credentials,
    encryption: '',
    ...over,
  });

const facts = (bytes: Buffer) => ({ bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });
const source = (bytes: Buffer) => async () => Readable.from([bytes.subarray(0, 100), bytes.subarray(100)]);
const key = (uid: string): string => recordingKey('node-1', { namespace: 'shop', session: 'web-0-x1', uid });

describe.each<[string, () => RecordingStore]>([
  ['directory', () => new DirectoryStore(join(directory, 'volume'))],
  ['s3', () => s3()],
])('%s', (_, open) => {
  test('stores, confirms and gives parts back', async () => {
    const store = open();
    const bytes = randomBytes(3_000_000);
    await store.put(key('a'), facts(bytes), source(bytes));
    const whole = await store.read(key('a'), 0, 16 * 1024 ** 2);
    expect(whole.length).toBe(bytes.length);
    expect((await buffer(whole.bytes!)).equals(bytes)).toBe(true);
    const part = await store.read(key('a'), 2_999_990, 100);
    expect((await buffer(part.bytes!)).equals(bytes.subarray(2_999_990))).toBe(true);
    expect(await store.read(key('a'), bytes.length, 100)).toEqual({ length: bytes.length });
    expect(store.keyOf(store.locationOf(key('a')))).toBe(key('a'));
    expect(store.keyOf('node:node-1')).toBeUndefined();
  });

  test('a second time is no work; another recording under the same key is refused', async () => {
    const store = open();
    const [bytes, other] = [randomBytes(1_000), randomBytes(1_000)];
    await store.put(key('b'), facts(bytes), source(bytes));
    await store.put(key('b'), facts(bytes), () => Promise.reject(new Error('not read again')));
    await expect(store.put(key('b'), facts(other), source(other))).rejects.toMatchObject({ reason: 'Invalid' });
    expect((await buffer((await store.read(key('b'), 0, 1e6)).bytes!)).equals(bytes)).toBe(true);
  });

  test('bytes that are not those of the checksum are not stored, and a source that breaks neither', async () => {
    const store = open();
    const bytes = randomBytes(1_000);
    await expect(store.put(key('c'), facts(bytes), source(randomBytes(1_000)))).rejects.toThrow();
    const broken = async () =>
      Readable.from(
        (async function* () {
          yield bytes.subarray(0, 500);
          throw new Error('the node went away');
        })(),
      );
    await expect(store.put(key('c'), facts(bytes), broken)).rejects.toThrow();
    await expect(store.read(key('c'), 0, 1)).rejects.toMatchObject({ reason: 'NotFound' });
    await store.put(key('c'), facts(bytes), source(bytes));
  });
});

test('s3: wrong credentials, a bucket that is not there and a server that is away are errors that say so', async () => {
  const wrong = join(directory, 'wrong');
  mkdirSync(wrong);
  const bytes = randomBytes(10);
  const put = (store: S3Store) => store.put(key('d'), facts(bytes), source(bytes));
  await expect(put(s3({ credentials: wrong }))).rejects.toThrow(/accessKeyId and secretAccessKey/);
  writeFileSync(join(wrong, 'accessKeyId'), 'recorder');
  writeFileSync(join(wrong, 'secretAccessKey'), 'wrong');
  await expect(put(s3({ credentials: wrong }))).rejects.toThrow(/HTTP 403/);
  await expect(put(s3({ bucket: 'no-such-bucket' }))).rejects.toThrow(/HTTP 404 NoSuchBucket/);
  await expect(put(s3({ endpoint: 'http://127.0.0.1:1' }))).rejects.toMatchObject({ reason: 'Unavailable' });
});

test('a directory’s keys stay in it', async () => {
  const store = new DirectoryStore(join(directory, 'volume'));
  await expect(store.read('../../etc/passwd', 0, 1)).rejects.toMatchObject({ reason: 'Invalid' });
  await expect(store.read('a/../b/c.cast', 0, 1)).rejects.toMatchObject({ reason: 'Invalid' });
});

test('from the node through its tunnel into the bucket: the node’s copy goes when the status says where it is, not before', async () => {
  const recordings = await openRecordings(join(directory, 'node'));
  const uid = '00000000-0000-4000-8000-000000000001';
  const shown = Buffer.alloc(3 * 1024 ** 2, 'x');
  const { sha256, bytes } = await record(recordings, { uid, session: 'web-0-x1' }, shown);

  const gateway = await startLoopback({ recordings });
  const stop = new AbortController();
  let session: DebugSession = makeSession({ status: { nodeName: 'node-1', phase: 'Finished' } });
  const said: RecordingStatus[] = [];
  const collector = new RecordingCollector({
    agents: gateway.registry,
    sessions: { byUid: (asked) => (asked === uid ? session : undefined) },
    store: s3({ prefix: 'collected/' }),
    log: silentLogger,
    onRecorded: (_, status) => said.push(status),
  });
  const running = collector.run(stop.signal);
  try {
    const location = `s3://recordings/collected/node-1/shop/web-0-x1-${uid}.cast`;
    await expect.poll(() => said[0], { timeout: 20_000 }).toEqual({ state: 'Complete', location, bytes, sha256 });
    // The status was not written yet: the node still has it, and it is not sent again but said again.
    await expect.poll(() => said.length, { timeout: 20_000 }).toBeGreaterThan(1);
    expect(recordings.list()).toHaveLength(1);
    session = { ...session, status: { ...session.status, recording: said[0]! } };
    await expect.poll(() => recordings.list(), { timeout: 20_000 }).toEqual([]);
    expect(readdirSync(join(directory, 'node'))).toEqual([]);
    const stored = readFileSync(join(server.objects, `collected/node-1/shop/web-0-x1-${uid}.cast`));
    expect(createHash('sha256').update(stored).digest('hex')).toBe(sha256);
  } finally {
    stop.abort();
    await running;
    await gateway.stop();
  }
});
