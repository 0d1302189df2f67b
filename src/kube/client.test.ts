import { expect, test } from 'vitest';
import { startApiServer, statusBody } from './api-server-fixture.ts';
import { apply } from './apply.ts';

test('an answer comes parsed, and the credentials go with the request', async () => {
  await using api = await startApiServer((exchange) => exchange.json(200, { kind: 'Pod' }));
  const answer = await api.client.request({ method: 'GET', path: '/api/v1/pods', query: { limit: 5 } });
  expect(answer).toEqual({ kind: 'Pod' });
  expect(api.exchanges[0]?.url.search).toBe('?limit=5');
  expect(api.exchanges[0]?.headers.authorization).toBe('Bearer t');
});

test('a refusal becomes a KubeError with the words of the Status', async () => {
  await using api = await startApiServer((exchange) => exchange.json(403, statusBody(403, 'Forbidden', 'not you')));
  await expect(api.client.request({ method: 'GET', path: '/x' })).rejects.toMatchObject({
    code: 403,
    kubeReason: 'Forbidden',
    reason: 'Forbidden',
    message: 'not you',
  });
});

test('a proxy that answers in HTML is quoted, not parsed', async () => {
  await using api = await startApiServer(({ response }) => response.writeHead(401).end('<h1>log in</h1>'));
  await expect(api.client.request({ method: 'GET', path: '/x' })).rejects.toThrow(/answered 401: <h1>log in/);
});

test.each([
  ['GET after a 500', 'GET', 500, 'rejects'],
  ['GET after a 429', 'GET', 429, 'resolves'],
  ['POST after a 429, which was not carried out', 'POST', 429, 'resolves'],
  ['POST after a 503, which may have been', 'POST', 503, 'rejects'],
  ['GET after a 503', 'GET', 503, 'resolves'],
] as const)('%s', async (_title, method, code, outcome) => {
  let answered = 0;
  await using api = await startApiServer((exchange) => {
    const failures = outcome === 'rejects' && code === 500 ? 9 : 1;
    if (answered++ < failures) exchange.json(code, statusBody(code, 'No'), { 'retry-after': '0.01' });
    else exchange.json(200, { ok: true });
  });
  const answer = api.client.request({ method, path: '/x' });
  if (outcome === 'resolves') await expect(answer).resolves.toEqual({ ok: true });
  else await expect(answer).rejects.toMatchObject({ code });
});

test('a connection that breaks is tried again for what may be repeated', async () => {
  let answered = 0;
  await using api = await startApiServer((exchange) => {
    if (answered++ === 0) exchange.response.destroy();
    else exchange.json(200, { ok: true });
  });
  await expect(api.client.request({ method: 'GET', path: '/x' })).resolves.toEqual({ ok: true });
  answered = 0;
  await expect(api.client.request({ method: 'POST', path: '/x' })).rejects.toMatchObject({ reason: 'Unavailable' });
});

test('a server that does not answer is given up, also within a fraction of a millisecond more', async () => {
  await using api = await startApiServer(() => {});
  await expect(api.client.request({ method: 'GET', path: '/slow', timeoutMs: 50.3 })).rejects.toMatchObject({
    reason: 'Timeout',
    message: expect.stringContaining('GET /slow within 51 ms'),
  });
});

test('an answer without an end is cut', async () => {
  await using api = await startApiServer(({ response }) => {
    response.writeHead(200);
    const block = Buffer.alloc(1024 * 1024, 32);
    const pour = (): void => {
      while (!response.destroyed && response.write(block)) {}
      if (!response.destroyed) response.once('drain', pour);
    };
    pour();
  });
  await expect(api.client.request({ method: 'POST', path: '/x' })).rejects.toThrow(/larger than/);
});

test('an aborted request is not tried again', async () => {
  const stop = new AbortController();
  await using api = await startApiServer(() => stop.abort());
  const answer = api.client.request({ method: 'GET', path: '/x', signal: stop.signal });
  await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
  expect(api.exchanges.length).toBe(1);
});

test('apply names its manager and takes what is its own', async () => {
  await using api = await startApiServer((exchange) => exchange.json(200, {}));
  await apply(api.client, '/api/v1/namespaces/a/configmaps/b', { data: {} });
  const [exchange] = api.exchanges;
  expect(exchange?.method).toBe('PATCH');
  expect(exchange?.headers['content-type']).toBe('application/apply-patch+yaml');
  expect(exchange?.url.search).toBe('?fieldManager=crashcart-controller&force=true');
});
