import { mkdtempSync, rmSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { debugSession, type Loopback, startLoopback } from '../../../test/support/gateway-loopback.ts';
import { openRecordings, record } from '../../../test/support/recorded.ts';
import { recordingPath } from '../../api/names.ts';
import { recordingLengthHeader } from '../../wire/agent-protocol.ts';

let directory: string;
let gateway: Loopback;
let recordings: Awaited<ReturnType<typeof openRecordings>>;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'crashcart-serve-'));
  recordings = await openRecordings(directory);
  gateway = await startLoopback({ recordings });
});

afterEach(async () => {
  await gateway.stop();
  rmSync(directory, { recursive: true });
});

interface Answer {
  readonly code: number | undefined;
  readonly length: string | string[] | undefined;
  readonly body: string;
}

const ask = (name: string, query = '', client: object = gateway.frontProxy): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const url = `https://localhost:${gateway.port}${recordingPath('shop', name)}${query}`;
    const headers = { 'X-Remote-User': 'alice' };
    get(url, { ca: gateway.servingCa.cert, ...client, headers, agent: false }, async (response) => {
      resolve({
        code: response.statusCode,
        length: response.headers[recordingLengthHeader],
        body: await text(response),
      });
    }).once('error', reject);
  });

test('a recording comes from its node, whole or in parts', async () => {
  gateway.cache.set(debugSession('a', { phase: 'Finished', nodeName: 'node-1' }));
  await record(recordings, { uid: 'uid-a', session: 'a' }, 'what was shown');
  const whole = await ask('a');
  expect(whole.code).toBe(200);
  expect(whole.body).toContain('what was shown');
  expect(whole.length).toBe(`${whole.body.length}`);
  const part = await ask('a', '?from=1&limit=9');
  expect(part).toEqual({ code: 200, length: whole.length, body: whole.body.slice(1, 10) });
  expect(await ask('a', `?from=${whole.body.length}`)).toEqual({ code: 200, length: whole.length, body: '' });
  expect(gateway.reviews.asked[0]).toMatchObject({
    user: { name: 'alice' },
    attributes: {
      verb: 'get',
      group: 'subresources.crashcart.dev',
      resource: 'debugsessions',
      subresource: 'recording',
      namespace: 'shop',
      name: 'a',
    },
  });
});

test('without the right: 403 with what is missing, and no look at the node', async () => {
  gateway.reviews.verdict = () => ({ allowed: false });
  gateway.cache.set(debugSession('a', { phase: 'Finished', nodeName: 'node-1' }));
  await record(recordings, { uid: 'uid-a', session: 'a' }, 'what was shown');
  const { code, body } = await ask('a');
  expect(code).toBe(403);
  expect(body).toContain('may not get debugsessions.subresources.crashcart.dev/recording');
  expect(body).not.toContain('what was shown');
});

test('a review that could not be made is no yes; a session or a recording that is not there is 404', async () => {
  gateway.reviews.verdict = () => Promise.reject(new Error('away'));
  expect((await ask('a')).code).toBe(503);
  gateway.reviews.verdict = () => ({ allowed: true });
  expect((await ask('a')).code).toBe(404);
  gateway.cache.set(debugSession('a', { phase: 'Finished', nodeName: 'node-1' }));
  expect((await ask('a')).code).toBe(404);
  expect((await ask('a', '?from=-1')).code).toBe(422);
});

test('a recording in a store that this installation does not have is not looked for on the node', async () => {
  await record(recordings, { uid: 'uid-a', session: 'a' }, 'what was shown');
  const recording = { state: 'Complete', location: 's3://elsewhere/a.cast', bytes: 1 };
  gateway.cache.set(debugSession('a', { phase: 'Finished', nodeName: 'node-1', recording }));
  const { code, body } = await ask('a');
  expect(code).toBe(404);
  expect(body).toContain('s3://elsewhere/a.cast');
});

test('who is not the front proxy gets nothing', async () => {
  gateway.cache.set(debugSession('a', { phase: 'Finished', nodeName: 'node-1' }));
  await record(recordings, { uid: 'uid-a', session: 'a' }, 'what was shown');
  expect((await ask('a', '', {})).code).toBe(401);
});
