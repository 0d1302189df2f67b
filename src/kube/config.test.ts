import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConnection } from './config.ts';
import { requestUrl } from './connection.ts';

let directory: string;
let file: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'crashcart-kubeconfig-'));
  file = join(directory, 'config');
  writeFileSync(join(directory, 'ca.crt'), 'CA');
  writeFileSync(
    file,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'one',
      clusters: [
        { name: 'a', cluster: { server: 'https://a.example:6443/prefix/', 'certificate-authority': 'ca.crt' } },
        { name: 'plain', cluster: { server: 'http://a.example' } },
      ],
      users: [
        { name: 'token', user: { token: 'secret' } },
        { name: 'basic', user: { username: 'ann', password: 'pw' } },
      ],
      contexts: [
        { name: 'one', context: { cluster: 'a', user: 'token', namespace: 'shop' } },
        { name: 'plain', context: { cluster: 'plain', user: 'token' } },
      ],
    }),
  );
});
afterAll(() => rmSync(directory, { recursive: true }));

test('the current context gives server, namespace, CA and token', async () => {
  const connection = loadConnection({ env: { KUBECONFIG: `/does/not/exist:${file}` } });
  expect(connection.namespace).toBe('shop');
  expect(requestUrl(connection, '/api/v1/pods', { limit: 5, watch: undefined }).href).toBe(
    'https://a.example:6443/prefix/api/v1/pods?limit=5',
  );
  const { tls, headers, agent } = await connection.credentials();
  expect(String(tls.ca)).toBe('CA');
  expect(headers['Authorization']).toBe('Bearer secret');
  expect(agent).toBeUndefined();
});

test('flags win over the file, as in kubectl', async () => {
  const connection = loadConnection({
    kubeconfig: file,
    namespace: 'x',
    user: 'basic',
    as: 'bob',
    asGroups: ['g', 'h'],
  });
  expect(connection.namespace).toBe('x');
  const { headers } = await connection.credentials();
  expect(headers).toMatchObject({
    Authorization: `Basic ${Buffer.from('ann:pw').toString('base64')}`,
    'Impersonate-User': 'bob',
    'Impersonate-Group': ['g', 'h'],
  });
});

test('what is wrong with the kubeconfig is named', () => {
  expect(() => loadConnection({ kubeconfig: file, context: 'nope' })).toThrow(/"nope" is not in the kubeconfig.*"one"/);
  expect(() => loadConnection({ kubeconfig: file, context: 'plain' })).toThrow(/not an https address/);
  expect(() => loadConnection({ env: { HOME: directory } })).toThrow(/no kubeconfig at .*\.kube\/config/);
});
