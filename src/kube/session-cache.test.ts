import { expect, test, vi } from 'vitest';
import { silentLogger } from '../base/log.ts';
import { startApiServer } from './api-server-fixture.ts';
import { createSessionCache } from './session-cache.ts';

const session = (name: string, version: number, phase?: string) => ({
  apiVersion: 'crashcart.dev/v1alpha1',
  kind: 'DebugSession',
  metadata: {
    name,
    namespace: 'n',
    uid: `uid-${name}`,
    resourceVersion: String(version),
    creationTimestamp: '2026-11-24T00:00:00Z',
  },
  spec: { target: { pod: { name: 'p' } } },
  ...(phase ? { status: { phase } } : {}),
});

async function running() {
  let send: (type: string, object: object) => void = () => {};
  const api = await startApiServer(({ url, json, response }) => {
    if (url.searchParams.get('watch') !== 'true')
      return json(200, { metadata: { resourceVersion: '1' }, items: [session('a', 1, 'Running')] });
    response.writeHead(200).flushHeaders();
    send = (type, object) => response.write(`${JSON.stringify({ type, object })}\n`);
  });
  const cache = createSessionCache(api.client, silentLogger);
  const stop = new AbortController();
  const run = cache.run(stop.signal);
  await cache.synced;
  await vi.waitFor(() => expect(api.exchanges.length).toBe(2));
  return {
    cache,
    send: (type: string, object: object) => send(type, object),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await run;
      await api[Symbol.asyncDispose]();
    },
  };
}

test('a session is found by its name and by its uid until it is deleted', async () => {
  await using run = await running();
  expect(run.cache.get('n', 'a')?.status?.phase).toBe('Running');
  expect(run.cache.byUid('uid-a')).toBe(run.cache.get('n', 'a'));
  run.send('DELETED', session('a', 2));
  await vi.waitFor(() => expect(run.cache.get('n', 'a')).toBeUndefined());
  expect(run.cache.byUid('uid-a')).toBeUndefined();
});

test('a session is as old as its first sight, whatever is written to it since', async () => {
  await using run = await running();
  const first = run.cache.seenForMs('uid-a') ?? Number.NaN;
  run.send('MODIFIED', session('a', 2));
  await vi.waitFor(() => expect(run.cache.get('n', 'a')?.metadata.resourceVersion).toBe('2'));
  expect(run.cache.seenForMs('uid-a')).toBeGreaterThanOrEqual(first);
  run.send('DELETED', session('a', 3));
  await vi.waitFor(() => expect(run.cache.seenForMs('uid-a')).toBeUndefined());
});

test('a wait ends at once, when it comes true, when the session goes, and when its time is over', async () => {
  await using run = await running();
  const isRunning = ({ status }: { status?: { phase?: string } }): boolean => status?.phase === 'Running';
  await expect(run.cache.waitFor('n', 'a', isRunning, 0)).resolves.toMatchObject({ metadata: { name: 'a' } });

  const later = run.cache.waitFor('n', 'b', isRunning, 5_000);
  run.send('ADDED', session('b', 2));
  run.send('MODIFIED', session('b', 3, 'Running'));
  await expect(later).resolves.toMatchObject({ metadata: { resourceVersion: '3' } });

  const gone = run.cache.waitFor('n', 'b', () => false, 5_000);
  run.send('DELETED', session('b', 4));
  await expect(gone).resolves.toBeUndefined();

  await expect(run.cache.waitFor('n', 'never', isRunning, 20)).resolves.toBeUndefined();
});
