import { expect, test } from 'vitest';
import { silentLogger } from '../base/log.ts';
import { followRequestHeaderConfig, type RequestHeaderConfig, readRequestHeaderConfig } from './request-header.ts';

const data = {
  'requestheader-client-ca-file': 'PEM',
  'requestheader-allowed-names': '["front-proxy-client"]',
  'requestheader-username-headers': '["X-Remote-User"]',
  'requestheader-group-headers': '["X-Remote-Group"]',
  'requestheader-extra-headers-prefix': '["X-Remote-Extra-"]',
};
const serving = (...answers: object[]) => ({
  request: async () => ({ data: answers.length > 1 ? answers.shift() : answers[0] }),
});

test('the ConfigMap says whom to trust and in which headers', async () => {
  await expect(readRequestHeaderConfig(serving(data))).resolves.toEqual({
    clientCa: 'PEM',
    allowedNames: ['front-proxy-client'],
    usernameHeaders: ['X-Remote-User'],
    groupHeaders: ['X-Remote-Group'],
    extraHeaderPrefixes: ['X-Remote-Extra-'],
    uidHeaders: [],
  });
});

test.each([
  ['without a CA', {}, /no requestheader-client-ca-file/],
  [
    'with names that are no list',
    { ...data, 'requestheader-allowed-names': 'any' },
    /allowed-names is not a JSON list/,
  ],
  [
    'with names that are no strings',
    { ...data, 'requestheader-allowed-names': '[1]' },
    /allowed-names is not a JSON list/,
  ],
])('a ConfigMap %s is an error, never "any name"', async (_title, broken, message) => {
  await expect(readRequestHeaderConfig(serving(broken))).rejects.toThrow(message);
});

test('only a changed content is told, and a broken one keeps the last', async () => {
  const stop = new AbortController();
  const seen: string[] = [];
  const second = Promise.withResolvers<void>();
  const onChange = ({ clientCa }: RequestHeaderConfig): void => {
    seen.push(clientCa);
    if (seen.length === 2) second.resolve();
  };
  const client = serving({}, data, data, {}, { ...data, 'requestheader-client-ca-file': 'NEW' });
  await followRequestHeaderConfig({
    client,
    log: silentLogger,
    signal: stop.signal,
    onChange,
    periodMs: 2,
    retryMs: 2,
  });
  expect(seen).toEqual(['PEM']);
  await second.promise;
  stop.abort();
  expect(seen).toEqual(['PEM', 'NEW']);
});
