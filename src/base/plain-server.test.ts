import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { type Pages, servePages } from './plain-server.ts';

async function serve(pages: Pages) {
  const server = await servePages(0, pages);
  const { port } = server.address() as AddressInfo;
  return {
    ask: (path: string, method = 'GET') => fetch(`http://127.0.0.1:${port}${path}`, { method }),
    [Symbol.dispose]: () => server.close(),
  };
}

test('a page is answered with its status and type, whatever stands behind the question mark', async () => {
  using server = await serve({ '/metrics': () => ({ status: 503, type: 'text/x', text: 'größer' }) });
  const answer = await server.ask('/metrics?name=up');
  expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([503, 'text/x', 'größer']);
});

test('a page that is only asked for its head has the same head and no text', async () => {
  using server = await serve({ '/': async () => ({ text: 'ok' }) });
  const answer = await server.ask('/', 'HEAD');
  expect([answer.status, answer.headers.get('content-length'), await answer.text()]).toEqual([200, '2', '']);
});

test.each([
  ['/nothing', 'GET', 404],
  ['/constructor', 'GET', 404],
  ['/page', 'POST', 405],
])('%s asked by %s is %i', async (path, method, status) => {
  using server = await serve({ '/page': () => ({ text: '' }) });
  expect((await server.ask(path, method)).status).toBe(status);
});

test('a page that fails says so, and the next one is answered', async () => {
  using server = await serve({ '/bad': () => Promise.reject(new Error('no')), '/good': () => ({ text: 'good' }) });
  const bad = await server.ask('/bad');
  expect([bad.status, await bad.text()]).toEqual([500, 'Error: no\n']);
  expect((await server.ask('/good')).status).toBe(200);
});
