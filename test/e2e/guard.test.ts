import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { dryRun, must, session } from '../support/dry-run.ts';
import { cluster, crashcart, crashcartTerminal, getJson, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { metricsOf } from '../support/metrics.ts';
import { run } from '../support/run.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

// What holds when the barriers themselves are taken away: a right, an admission policy, the backend of the aggregated API.
const system = 'crashcart-system';
const apiService = 'v1alpha1.subresources.crashcart.dev';

nothingLeftAfterEach();

beforeAll(async () => {
  await must('create', 'role', 'guard-exec', '-n', 'tools', '--verb=create', '--resource=pods/exec');
  await must('create', 'rolebinding', 'guard-user', '-n', 'tools', '--clusterrole=crashcart-user', '--user=gus');
});
afterAll(async () => {
  await kubectl(['delete', 'dbg', '--all', '-n', 'tools', '--timeout=30s']);
  await kubectl(['delete', 'rolebinding', 'guard-user', 'guard-exec', '-n', 'tools', '--ignore-not-found']);
  await kubectl(['delete', 'role', 'guard-exec', '-n', 'tools']);
});

interface Session {
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: { type: string; reason: string; message: string }[];
  };
}
const ready = async (name: string): Promise<{ phase?: string; reason?: string; message?: string }> => {
  const { status } = await getJson<Session>(['get', '-n', 'tools', `dbg/${name}`]);
  const condition = status?.conditions?.find(({ type }) => type === 'Ready');
  return { ...(status?.phase ? { phase: status.phase } : {}), ...condition };
};
const apply = (object: object) => kubectl(['apply', '-f', '-'], { input: JSON.stringify(object) });
const sleeping = (name: string) =>
  session({ target: { pod: { name: 'box' } }, tty: false, command: ['sleep', '600'] }, { name, namespace: 'tools' });

test('a right that is withdrawn while a shell is open ends the stream with its sentence, and the session goes on', async () => {
  await must('create', 'rolebinding', 'guard-exec', '-n', 'tools', '--role=guard-exec', '--user=gus');
  await eventually(async () => expect(await dryRun(sleeping('tried'), 'gus')).toMatchObject({ code: 0 }));
  const terminal = crashcartTerminal(['--as', 'gus', 'pod/box', '-n', 'tools']);
  await terminal.expect(/box\/box/);
  terminal.enter('echo in-$((1 + 1))');
  await terminal.expect(/in-2/);
  await must('delete', 'rolebinding', 'guard-exec', '-n', 'tools');
  await terminal.expect(/gus may not create pods\/exec on box in namespace tools/, 30_000);
  expect(await terminal.exit()).not.toBe(0);
  const { items } = await getJson<{ items: { metadata: { name: string }; status: { phase: string } }[] }>([
    'get',
    'dbg',
    '-n',
    'tools',
  ]);
  const [running] = items.filter(({ status }) => status.phase === 'Running');
  expect(running).toBeDefined();
  expect(await crashcart(['rm', running!.metadata.name, '-n', 'tools'])).toMatchObject({ code: 0 });
});

test('the serving certificate is renewed under a running stream, and new streams find the new one', async () => {
  const certificate = () =>
    must('get', 'secret', '-n', system, 'crashcart-serving', '-o', 'jsonpath={.data.tls\\.crt}');
  const first = await certificate();
  const terminal = crashcartTerminal(['pod/box', '-n', 'tools', '--rm']);
  await terminal.expect(/box\/box/);
  terminal.enter('i=0; while sleep 1; do i=$((i + 1)); echo tick-$i; done');
  await terminal.expect(/tick-1\D/);
  await eventually(async () => expect(await certificate()).not.toBe(first), 90_000, 1_000);
  // Each replica loads it within a twelfth of its life.
  await new Promise((resolve) => setTimeout(resolve, 9_000));
  expect(await crashcart(['pod/box', '-n', 'tools', '--', 'echo', 'new'])).toMatchObject({ code: 0, stdout: 'new\n' });
  const ticks = [...terminal.transcript.matchAll(/tick-(\d+)\r/g)].map(([, tick]) => Number(tick));
  expect(ticks).toEqual(ticks.map((_, at) => at + 1));
  const last = ticks.at(-1) ?? 0;
  await terminal.expect(new RegExp(`tick-${last + 2}\\D`));
  terminal.type('\x03');
  terminal.enter('exit 7');
  expect(await terminal.exit()).toBe(7);
}, 180_000);

test('without an admission policy nothing is started, whoever asks, and it is said in every place', async () => {
  const name = 'debugsessions.crashcart.dev';
  const binding = await getJson<{ metadata: Record<string, unknown> }>([
    'get',
    'validatingadmissionpolicybinding',
    name,
  ]);
  await must('delete', 'validatingadmissionpolicybinding', name);
  // The API server itself stops asking a moment later: then somebody else can be written there.
  const forged = sleeping('forged');
  Object.assign(forged['spec'] as object, { requestedBy: { username: 'somebody-else' } });
  await eventually(async () => expect((await apply(forged)).stderr).toBe(''), 30_000);
  await eventually(async () => {
    expect(await ready('forged')).toMatchObject({
      phase: 'Pending',
      reason: 'PolicyMissing',
      message: expect.stringMatching(
        /ValidatingAdmissionPolicyBinding debugsessions\.crashcart\.dev is missing.*helm upgrade/,
      ),
    });
  });
  await eventually(async () => {
    const events = await must('get', 'events', '-n', 'tools', '--field-selector', 'reason=PolicyMissing', '-o', 'name');
    expect(events).not.toBe('');
  });
  expect(await metric('controller', 'crashcart_policies_intact')).toBe(0);
  const { creationTimestamp, resourceVersion, uid, managedFields, generation, ...metadata } = binding.metadata;
  expect([creationTimestamp, resourceVersion, uid, managedFields, generation]).toHaveLength(5);
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  expect(await apply({ ...binding, metadata })).toMatchObject({ code: 0 });
  // What slipped in meanwhile is not started afterwards either: nobody has checked who asked for it.
  await eventually(async () =>
    expect(await ready('forged')).toMatchObject({
      phase: 'Failed',
      reason: 'PolicyMissing',
      message: expect.stringMatching(/create it again/),
    }),
  );
  await must('delete', 'dbg/forged', '-n', 'tools', '--timeout=30s');
  await eventually(async () => expect(await metric('controller', 'crashcart_policies_intact')).toBe(1));
  await eventually(async () =>
    expect(await crashcart(['pod/box', '-n', 'tools', '--', 'echo', 'again'])).toMatchObject({
      code: 0,
      stdout: 'again\n',
    }),
  );
});

test('a policy that was narrowed is as good as none', async () => {
  const patch = (conditions: unknown): Promise<string> =>
    must(
      'patch',
      'validatingadmissionpolicy',
      'debugsessions.crashcart.dev',
      '--type=merge',
      '-p',
      JSON.stringify({ spec: { matchConditions: conditions } }),
    );
  await patch([{ name: 'nobody', expression: 'request.userInfo.username == "nobody"' }]);
  await eventually(async () => expect(await metric('controller', 'crashcart_policies_intact')).toBe(0));
  await patch(null);
  await eventually(async () => expect(await metric('controller', 'crashcart_policies_intact')).toBe(1));
});

afterEach(async () => {
  await kubectl(['scale', '-n', system, 'deployment/crashcart-controller', '--replicas=2']);
});

test('a backend that is gone holds deletions of namespaces for a while only, and its return brings the API back', async () => {
  const before = await getJson<{ spec: unknown }>(['get', 'apiservice', apiService]);
  await must('scale', '-n', system, 'deployment/crashcart-controller', '--replicas=0');
  await must(
    'wait',
    '-n',
    system,
    '--for=delete',
    'pod',
    '-l',
    'app.kubernetes.io/component=controller',
    '--timeout=60s',
  );
  await must('create', 'namespace', 'doomed');
  await must('create', 'configmap', 'inside', '-n', 'doomed');
  await must('delete', 'namespace', 'doomed', '--wait=false');
  // kubectl, helm and the garbage collector work meanwhile.
  expect(await kubectl(['get', 'pods', '-n', 'tools'])).toMatchObject({ code: 0 });
  const { tools, kubeconfig } = cluster();
  const env = { ...process.env, KUBECONFIG: kubeconfig };
  expect(await run(tools.helm, ['list', '-n', system], { env })).toMatchObject({ code: 0 });
  await must('create', 'deployment', 'orphaned', '-n', 'tools', '--image=localhost/busybox:1', '--replicas=0');
  await eventually(async () =>
    expect(await must('get', 'rs', '-n', 'tools', '-l', 'app=orphaned', '-o', 'name')).not.toBe(''),
  );
  await must('delete', 'deployment', 'orphaned', '-n', 'tools');
  await eventually(async () =>
    expect(await must('get', 'rs', '-n', 'tools', '-l', 'app=orphaned', '-o', 'name')).toBe(''),
  );
  await must('wait', '--for=delete', 'namespace/doomed', '--timeout=110s');
  expect((await kubectl(['get', 'apiservice', apiService])).stderr).toMatch(/NotFound/);
  await eventually(async () => expect(await metric('breaker', 'crashcart_apiservice_withdrawn')).toBe(1));

  await must('scale', '-n', system, 'deployment/crashcart-controller', '--replicas=2');
  await eventually(async () => {
    const after = await getJson<{ spec: unknown }>(['get', 'apiservice', apiService]);
    expect(after.spec).toEqual(before.spec);
  }, 60_000);
  await must('wait', '--for=condition=Available', `apiservice/${apiService}`, '--timeout=60s');
  const events = await must('get', 'events', '-n', system, '-o', 'jsonpath={range .items[*]}{.reason}{"\\n"}{end}');
  expect(events.split('\n')).toEqual(expect.arrayContaining(['APIServiceWithdrawn', 'APIServiceRestored']));
  await eventually(
    async () =>
      expect(await crashcart(['pod/box', '-n', 'tools', '--', 'echo', 'back'])).toMatchObject({
        code: 0,
        stdout: 'back\n',
      }),
    60_000,
  );
});

test('the breaker may write no other APIService, nor ours with another backend', async () => {
  const as = `system:serviceaccount:${system}:crashcart-breaker`;
  const ours = await getJson<{ spec: { service: object } }>(['get', 'apiservice', apiService]);
  const evil = (name: string, spec: object) =>
    kubectl(['apply', '--server-side', '--force-conflicts', '--dry-run=server', '-f', '-'], {
      as,
      input: JSON.stringify({ apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService', metadata: { name }, spec }),
    });
  const base = { groupPriorityMinimum: 1000, versionPriority: 15, service: ours.spec.service };
  expect((await evil('v1.apps', { ...base, group: 'apps', version: 'v1' })).stderr).toMatch(/forbidden/i);
  expect((await evil('v1.evil.dev', { ...base, group: 'evil.dev', version: 'v1' })).stderr).toMatch(
    /forbidden|its own APIService only/i,
  );
  const same = { ...base, group: 'subresources.crashcart.dev', version: 'v1alpha1' };
  expect(await evil(apiService, same)).toMatchObject({ code: 0 });
  expect((await evil(apiService, { ...same, service: { ...base.service, namespace: 'tools' } })).stderr).toMatch(
    /its own APIService only/,
  );
});

/** Of any replica: the least of them. */
const metric = async (component: string, name: string): Promise<number> =>
  Math.min(...(await metricsOf(component, name)));
