import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connect } from './kubeconfig.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crashcart-kubeconfig-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function write(name: string, text: string): string {
  const file = join(directory, name);
  writeFileSync(file, text);
  return file;
}

const config = (name: string, user: string, more = ''): string => `
current-context: ${name}
contexts:
- {name: ${name}, context: {cluster: ${name}, user: ${name}, namespace: ns-${name}}}
clusters:
- {name: ${name}, cluster: {server: "https://${name}.example:6443"${more}}}
users:
- name: ${name}
  user: ${user}
`;

test('the first file that has a name counts, and files that do not exist are passed over', async () => {
  const first = write('a', config('one', '{token: first}'));
  const second = write(
    'b',
    config('one', '{token: second}') + config('two', '{token: x}').replaceAll(/^\S+:.*$/gm, ''),
  );
  const third = write('c', config('two', '{token: third}'));
  const env = { KUBECONFIG: [join(directory, 'absent'), first, third, second].join(':') };
  const connection = connect({ env });
  expect([connection.server.href, connection.namespace]).toEqual(['https://one.example:6443/', 'ns-one']);
  expect((await connection.credentials()).headers).toEqual({ Authorization: 'Bearer first' });
  const other = connect({ env, context: 'two', namespace: 'shop' });
  expect([other.server.host, other.namespace]).toEqual(['two.example:6443', 'shop']);
});

test('files are found beside the kubeconfig that names them', async () => {
  write('ca.crt', 'CA');
  write('token', 'from-a-file\n');
  const kubeconfig = write('config', config('one', '{tokenFile: token}', ', certificate-authority: ca.crt'));
  const { tls, headers } = await connect({ env: {}, kubeconfig }).credentials();
  expect(String(tls.ca)).toBe('CA');
  expect(headers).toEqual({ Authorization: 'Bearer from-a-file' });
});

test('client certificates, names and --insecure-skip-tls-verify reach TLS', async () => {
  const data = (text: string) => Buffer.from(text).toString('base64');
  const user = `{client-certificate-data: ${data('CERT')}, client-key-data: ${data('KEY')}}`;
  const kubeconfig = write(
    'config',
    config('one', user, `, tls-server-name: other, certificate-authority-data: ${data('CA')}`),
  );
  const { tls } = await connect({ env: {}, kubeconfig }).credentials();
  expect([String(tls.cert), String(tls.key), String(tls.ca), tls.servername]).toEqual(['CERT', 'KEY', 'CA', 'other']);
  const insecure = await connect({ env: {}, kubeconfig, insecure: true }).credentials();
  expect(insecure.tls).toMatchObject({ rejectUnauthorized: false });
  expect(insecure.tls.ca).toBeUndefined();
});

test('a credential program is run with what it wants to know', async () => {
  const user = `
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: /bin/sh
      args: ['-c', 'printf ''{"status":{"token":"%s-%s"}}'' "$GREETING" "$(echo $KUBERNETES_EXEC_INFO | grep -c one.example)"']
      env: [{name: GREETING, value: hello}]
      provideClusterInfo: true
      interactiveMode: Never`;
  const kubeconfig = write('config', config('one', user));
  const { headers } = await connect({ env: { PATH: process.env['PATH'] }, kubeconfig }).credentials();
  expect(headers).toEqual({ Authorization: 'Bearer hello-1' });
});

test('a credential program gets the file of the authority as data, and what the cluster has for it', async () => {
  write('ca.crt', 'CA');
  const user = `
    exec:
      command: /bin/sh
      args: ['-c', 'echo "$KUBERNETES_EXEC_INFO" > seen; echo ''{"status":{"token":"t"}}''']
      provideClusterInfo: true`.replace('seen', join(directory, 'seen'));
  const cluster = `, certificate-authority: ca.crt, extensions: [{name: client.authentication.k8s.io/exec, extension: {audience: a}}]`;
  const kubeconfig = write('config', config('one', user, cluster));
  await connect({ env: { PATH: process.env['PATH'] }, kubeconfig }).credentials();
  const { spec } = JSON.parse(readFileSync(join(directory, 'seen'), 'utf8')) as { spec: { cluster: object } };
  expect(spec.cluster).toMatchObject({
    'certificate-authority-data': Buffer.from('CA').toString('base64'),
    config: { audience: 'a' },
  });
});

test('a credential program that must ask a person is not started where there is none', async () => {
  const kubeconfig = write('config', config('one', '{exec: {command: /bin/true, interactiveMode: Always}}'));
  await expect(connect({ env: {}, kubeconfig }).credentials()).rejects.toThrow(/standard input is not a terminal/);
});

test('a credential program that fails is named', async () => {
  const kubeconfig = write('config', config('one', '{exec: {command: /bin/false, installHint: get it somewhere}}'));
  await expect(connect({ env: {}, kubeconfig }).credentials()).rejects.toThrow(
    /credential program "\/bin\/false" ended with exit code 1 \(get it somewhere\)/,
  );
});

test('impersonation of the flags goes before that of the file', async () => {
  const kubeconfig = write('config', config('one', '{token: t, as: file, as-groups: [g]}'));
  expect((await connect({ env: {}, kubeconfig }).credentials()).headers).toMatchObject({
    'Impersonate-User': 'file',
    'Impersonate-Group': ['g'],
  });
  const { headers } = await connect({ env: {}, kubeconfig, as: 'jane', asGroups: ['x', 'y'] }).credentials();
  expect(headers).toMatchObject({ 'Impersonate-User': 'jane', 'Impersonate-Group': ['x', 'y'] });
});

test('names beyond ASCII go out as the bytes of UTF-8, not as latin1, which would be another name', async () => {
  const kubeconfig = write('config', config('one', '{token: t}'));
  const { headers } = await connect({ env: {}, kubeconfig, as: 'zoë', asGroups: ['Büro'] }).credentials();
  const bytes = (text: unknown): string => Buffer.from(String(text), 'latin1').toString('utf8');
  expect([bytes(headers['Impersonate-User']), bytes(headers['Impersonate-Group'])]).toEqual(['zoë', 'Büro']);
});

test('extras of an impersonated user, with keys that no header name could hold', async () => {
  const kubeconfig = write('config', config('one', '{token: t, as: jane, as-user-extra: {reason: [a, b]}}'));
  expect((await connect({ env: {}, kubeconfig }).credentials()).headers).toMatchObject({
    'Impersonate-Extra-reason': ['a', 'b'],
  });
  const { headers } = await connect({ env: {}, kubeconfig, asExtras: ['example.org/team=x', 'k=a=b'] }).credentials();
  expect(headers).toMatchObject({ 'Impersonate-Extra-example.org%2Fteam': ['x'], 'Impersonate-Extra-k': ['a=b'] });
  expect(headers).not.toHaveProperty('Impersonate-Extra-reason');
});

test('a typed client certificate replaces the token of the file', async () => {
  write('tls.crt', 'CERT');
  write('tls.key', 'KEY');
  const kubeconfig = write('config', config('one', '{token: t}'));
  const typed = { clientCertificate: join(directory, 'tls.crt'), clientKey: join(directory, 'tls.key') };
  const { tls, headers } = await connect({ env: {}, kubeconfig, ...typed }).credentials();
  expect([String(tls.cert), String(tls.key), headers]).toEqual(['CERT', 'KEY', {}]);
});

test.each([
  ['no file at all', undefined, {}, /there is no kubeconfig at .*: name one with --kubeconfig/],
  ['an unknown context', config('one', '{}'), { context: 'x' }, /context "x" is not in the kubeconfig, which has: one/],
  ['an unknown user', config('one', '{}'), { user: 'x' }, /user "x" is not in the kubeconfig/],
  ['no context', 'contexts: []', {}, /names no cluster to use/],
  ['plain http', config('one', '{}').replace('https:', 'http:'), {}, /is not https/],
  ['no YAML', 'a: [', {}, /cannot be read/],
])('%s is refused with the next step', (_, text, flags, message) => {
  const env = { HOME: directory, KUBECONFIG: text === undefined ? join(directory, 'absent') : write('config', text) };
  expect(() => connect({ env, ...flags })).toThrow(message);
});
