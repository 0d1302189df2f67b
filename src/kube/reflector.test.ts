import type { ServerResponse } from 'node:http';
import { expect, test, vi } from 'vitest';
import { silentLogger } from '../base/log.ts';
import { type Exchange, startApiServer, statusBody } from './api-server-fixture.ts';
import { type Change, Reflector, type ReflectorOptions } from './reflector.ts';

const item = (name: string, version: number, extra: object = {}) => ({
  metadata: { namespace: 'n', name, resourceVersion: String(version), ...extra },
});
const list = (version: number, items: object[], next?: string) => ({
  metadata: { resourceVersion: String(version), ...(next ? { continue: next } : {}) },
  items,
});
interface Named {
  readonly name: string;
  readonly version: string;
}
const parse = (value: unknown): Named => {
  const { metadata } = value as { metadata: { name: string; resourceVersion: string; broken?: boolean } };
  if (metadata.broken) throw new Error('broken');
  return { name: metadata.name, version: metadata.resourceVersion };
};

/** Runs a reflector against a server whose lists and watches are answered by the test. */
async function running(
  answer: {
    list: (exchange: Exchange, nth: number) => void;
    watch: (response: ServerResponse, exchange: Exchange, nth: number) => void;
  },
  options: Partial<ReflectorOptions<Named>> = {},
) {
  let lists = 0;
  let watches = 0;
  const api = await startApiServer((exchange) => {
    if (exchange.url.searchParams.get('watch') !== 'true') return answer.list(exchange, ++lists);
    exchange.response.writeHead(200, { 'content-type': 'application/json' });
    exchange.response.flushHeaders();
    answer.watch(exchange.response, exchange, ++watches);
  });
  const reflector = new Reflector({
    client: api.client,
    path: '/things',
    parse,
    log: silentLogger,
    random: () => 0,
    ...options,
  });
  const changes: string[] = [];
  reflector.onChange((change: Change<Named>) => changes.push(`${change.type} ${change.key}`));
  const stop = new AbortController();
  const run = reflector.run(stop.signal);
  return {
    reflector,
    changes,
    watchUrls: () => api.exchanges.map(({ url }) => url.searchParams).filter((query) => query.get('watch') === 'true'),
    listUrls: () => api.exchanges.map(({ url }) => url.searchParams).filter((query) => query.get('watch') !== 'true'),
    cut: () => api.cut(),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await run;
      await api[Symbol.asyncDispose]();
    },
  };
}

const send = (response: ServerResponse, type: string, object: object): void => {
  response.write(`${JSON.stringify({ type, object })}\n`);
};

test('pages of a list and events of a watch become one copy', async () => {
  await using run = await running({
    list: ({ url, json }) =>
      url.searchParams.get('continue') === 'c1'
        ? json(200, list(10, [item('b', 2)]))
        : json(200, list(10, [item('a', 1)], 'c1')),
    watch: (response) => {
      send(response, 'MODIFIED', item('a', 11));
      send(response, 'DELETED', item('b', 12));
      send(response, 'ADDED', item('c', 13));
    },
  });
  await run.reflector.synced;
  await vi.waitFor(() => expect([...run.reflector.keys()]).toEqual(['n/a', 'n/c']));
  expect(run.reflector.get('n/a')).toEqual({ name: 'a', version: '11' });
  expect(run.changes).toEqual(['set n/a', 'set n/b', 'set n/a', 'deleted n/b', 'set n/c']);
  expect(run.listUrls()[0]?.get('limit')).toBe('500');
  const [watch] = run.watchUrls();
  expect(watch?.get('resourceVersion')).toBe('10');
  expect(watch?.get('allowWatchBookmarks')).toBe('true');
});

test('an event that comes in pieces, or with others in one piece, is one event', async () => {
  await using run = await running({
    list: ({ json }) => json(200, list(1, [])),
    watch: (response) => {
      const lines = ['é', 'b', 'c']
        .map((name, index) => `${JSON.stringify({ type: 'ADDED', object: item(name, index + 2) })}\n`)
        .join('');
      const bytes = Buffer.from(lines);
      const cut = bytes.indexOf(0xc3) + 1;
      response.write(bytes.subarray(0, cut));
      setTimeout(() => response.write(bytes.subarray(cut)), 20);
    },
  });
  await vi.waitFor(() => expect([...run.reflector.keys()]).toEqual(['n/é', 'n/b', 'n/c']));
});

test('a watch that ends goes on from the last bookmark, without a new list', async () => {
  await using run = await running({
    list: ({ json }) => json(200, list(1, [item('a', 1)])),
    watch: (response, _exchange, nth) => {
      if (nth === 1) {
        send(response, 'BOOKMARK', item('', 77));
        response.end();
      }
    },
  });
  await vi.waitFor(() => expect(run.watchUrls().length).toBe(2));
  expect(run.watchUrls()[1]?.get('resourceVersion')).toBe('77');
  expect(run.listUrls().length).toBe(1);
});

test.each([['as an event', (response: ServerResponse) => send(response, 'ERROR', statusBody(410, 'Expired'))]])(
  'an expired resource version, told %s, is a new list with only the differences told',
  async (_title, expire) => {
    await using run = await running({
      list: ({ json }, nth) =>
        nth === 1 ? json(200, list(1, [item('a', 1), item('b', 1)])) : json(200, list(9, [item('b', 8)])),
      watch: (response, _exchange, nth) => {
        if (nth === 1) expire(response);
      },
    });
    await vi.waitFor(() => expect(run.watchUrls().length).toBe(2));
    expect([...run.reflector.keys()]).toEqual(['n/b']);
    expect(run.changes.at(-1)).toBe('deleted n/a');
    expect(run.watchUrls()[1]?.get('resourceVersion')).toBe('9');
  },
);

test('a list that fails, a server that restarts and a broken watch are tried again for ever', async () => {
  let cutOnce = false;
  await using run = await running({
    list: ({ json }, nth) => (nth <= 2 ? json(403, statusBody(403, 'Forbidden')) : json(200, list(5, [item('a', 1)]))),
    watch: (response, _exchange, nth) => {
      if (nth === 1) setTimeout(() => run.cut(), 10);
      else send(response, 'ADDED', item('b', 6));
      cutOnce = true;
    },
  });
  await vi.waitFor(() => expect([...run.reflector.keys()]).toEqual(['n/a', 'n/b']), 5_000);
  expect(cutOnce).toBe(true);
});

test('it is live while its watch is open, and only then', async () => {
  await using run = await running({
    list: ({ json }) => json(200, list(5, [item('a', 1)])),
    watch: (response, _exchange, nth) => send(response, 'ADDED', item('b', 5 + nth)),
  });
  expect(run.reflector.live).toBe(false);
  await vi.waitFor(() => expect([...run.reflector.keys()]).toEqual(['n/a', 'n/b']));
  expect(run.reflector.live).toBe(true);
  run.cut();
  await vi.waitFor(() => expect(run.reflector.live).toBe(false), { interval: 1 });
  await vi.waitFor(() => expect(run.reflector.live).toBe(true));
});

test('a watch that has gone silent is opened again', async () => {
  await using run = await running(
    { list: ({ json }) => json(200, list(5, [])), watch: () => {} },
    { inactivityMs: 50 },
  );
  await vi.waitFor(() => expect(run.watchUrls().length).toBeGreaterThan(1));
  expect(run.listUrls().length).toBe(1);
});

test('an object that cannot be understood is absent, also when it was understood before', async () => {
  await using run = await running({
    list: ({ json }) => json(200, list(1, [item('a', 1), item('x', 1, { broken: true })])),
    watch: (response) => send(response, 'MODIFIED', item('a', 2, { broken: true })),
  });
  await vi.waitFor(() => expect(run.changes).toEqual(['set n/a', 'deleted n/a']));
});
