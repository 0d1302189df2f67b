import { readFile } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import { must } from '../support/dry-run.ts';
import { cluster, crashcart, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

nothingLeftAfterEach();

beforeAll(async () => {
  const bind = (name: string, role: string, user: string) =>
    must('create', 'rolebinding', name, '-n', 'tools', `--clusterrole=${role}`, `--user=${user}`);
  await bind('olga-sessions', 'crashcart-user', 'olga');
  await bind('rita-sessions', 'crashcart-user', 'rita');
  await must('create', 'role', 'exec', '-n', 'tools', '--verb=create', '--resource=pods/exec');
  await must('create', 'role', 'look', '-n', 'tools', '--verb=get,list', '--resource=pods');
  for (const user of ['olga', 'rita'])
    await must('create', 'rolebinding', `${user}-look`, '-n', 'tools', '--role=look', `--user=${user}`);
  // So that nothing but the right to exec is what rita lacks for another person's session.
  const others = '--resource=debugsessions.subresources.crashcart.dev/attachothers';
  await must('create', 'role', 'others', '-n', 'tools', '--verb=create', others);
  await must('create', 'rolebinding', 'rita-others', '-n', 'tools', '--role=others', '--user=rita');
  await must('create', 'rolebinding', 'olga-exec', '-n', 'tools', '--role=exec', '--user=olga');
});

test('who may exec into the pod and use sessions gets a shell', async () => {
  expect(await crashcart(['pod/box', '-n', 'tools', '--', 'echo', 'in'], { as: 'olga' })).toMatchObject({
    code: 0,
    stdout: 'in\n',
  });
});

test('who may create sessions but not exec into the pod is told which right is missing', async () => {
  const result = await crashcart(['pod/box', '-n', 'tools', '--', 'true'], { as: 'rita' });
  expect(result.code).not.toBe(0);
  expect(result.stderr).toMatch(/pods\/exec/);
});

test('who has no rights at all is told so by name', async () => {
  const result = await crashcart(['pod/box', '-n', 'tools', '--', 'true'], { as: 'nobody' });
  expect(result.code).not.toBe(0);
  expect(result.stderr).toMatch(/nobody|debugsessions/);
});

test('a powerful profile needs a right of its own', async () => {
  const result = await crashcart(['pod/box', '-n', 'tools', '--profile', 'sysadmin', '--', 'true'], { as: 'olga' });
  expect(result.code).not.toBe(0);
  expect(result.stderr).toMatch(/sysadmin/);
});

test('somebody else’s session cannot be entered without pods/exec, though the handshake is only a get', async () => {
  const manifest = {
    apiVersion: 'crashcart.dev/v1alpha1',
    kind: 'DebugSession',
    metadata: { name: 'olgas', namespace: 'tools' },
    spec: { target: { pod: { name: 'box' } } },
  };
  expect(await kubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest), as: 'olga' })).toMatchObject({
    code: expect.any(Number),
  });
  await kubectl(['wait', '-n', 'tools', 'dbg/olgas', '--for=condition=Ready', '--timeout=20s']);
  const result = await crashcart(['attach', 'olgas', '-n', 'tools'], { as: 'rita' });
  expect(result.code).not.toBe(0);
  expect(result.stderr).toMatch(/pods\/exec/);
  expect(await crashcart(['rm', 'olgas', '-n', 'tools'])).toMatchObject({ code: 0 });
});

test('the audit log has who attached, to what, by which subresource', async () => {
  expect(await crashcart(['pod/box', '-n', 'tools', '--', 'true'], { as: 'olga' })).toMatchObject({ code: 0 });
  await eventually(async () => {
    const lines = (await readFile(cluster().auditLog, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as AuditEvent);
    const attach = lines.find(
      (event) =>
        event.objectRef?.subresource === 'attach' &&
        event.objectRef.resource === 'debugsessions' &&
        event.impersonatedUser?.username === 'olga' &&
        event.stage === 'ResponseComplete',
    );
    expect(attach?.objectRef).toMatchObject({ namespace: 'tools', apiGroup: 'subresources.crashcart.dev' });
    expect(attach?.responseStatus?.code).toBe(101);
  });
});

test('the session knows under which id its creation stands in the audit log', async () => {
  const command = ['sh', '-c', 'echo "$CRASHCART_AUDIT_ID"'];
  const { code, stdout, stderr } = await crashcart(['pod/box', '-n', 'tools', '--', ...command], { as: 'olga' });
  expect({ code, stdout, stderr }).toMatchObject({ code: 0, stdout: expect.stringMatching(/^[0-9a-f-]{36}\n$/) });
  await eventually(async () => {
    const lines = (await readFile(cluster().auditLog, 'utf8')).trim().split('\n');
    const events = lines
      .map((line) => JSON.parse(line) as AuditEvent)
      .filter(({ auditID }) => auditID === stdout.trim());
    expect(events.at(-1)).toMatchObject({
      verb: 'create',
      objectRef: { resource: 'debugsessions', namespace: 'tools' },
      impersonatedUser: { username: 'olga' },
      responseStatus: { code: 201 },
    });
  });
});

interface AuditEvent {
  readonly auditID: string;
  readonly verb: string;
  readonly stage: string;
  readonly objectRef?: {
    readonly resource?: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly apiGroup?: string;
  };
  readonly impersonatedUser?: { readonly username: string };
  readonly responseStatus?: { readonly code: number };
}
