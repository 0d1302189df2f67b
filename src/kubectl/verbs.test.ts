import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiDouble, type StoredSession } from '../../test/support/api-double.ts';
import { eventually } from '../../test/support/eventually.ts';
import { runPlugin, startPlugin } from '../../test/support/plugin-process.ts';
import { ScriptedShell } from '../../test/support/scripted-shell.ts';

// Each test starts processes, on a machine that may be busy with others.
vi.setConfig({ testTimeout: 60_000 });

let api: ApiDouble;
beforeEach(async () => {
  api = await ApiDouble.start();
});
afterEach(() => api.close());

function store(name: string, namespace = 'shop', rest: Partial<StoredSession> = {}): void {
  api.sessions.set(`${namespace}/${name}`, {
    metadata: { name, namespace, uid: name, creationTimestamp: new Date().toISOString() },
    spec: { target: { pod: { name: 'web-0' } }, profile: 'general', tty: false, stdin: false },
    ...rest,
  });
}

async function output(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runPlugin(api, args);
  expect([code, stderr]).toEqual([0, '']);
  return stdout.toString();
}

async function failure(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runPlugin(api, args);
  expect([code, stdout.toString()]).toEqual([1, '']);
  return stderr;
}

test('ls prints the sessions of a namespace, or of all, in every format', async () => {
  store('web-0-a');
  store('web-0-b', 'other');
  expect(await output('ls')).toMatch(/^NAME +TARGET.*\nweb-0-a +web-0 .*\n$/);
  expect(await output('ls', '-A')).toMatch(/^NAMESPACE.*\n(shop|other) .*\n(shop|other) .*\n$/);
  expect(await output('ls', '-n', 'other', '-o', 'name')).toBe('debugsessions.crashcart.dev/web-0-b\n');
  expect(JSON.parse(await output('ls', '-o', 'json'))).toMatchObject({
    kind: 'List',
    items: [{ metadata: { name: 'web-0-a' } }],
  });
  expect(await output('ls', '-o', 'yaml')).toMatch(/^apiVersion: v1\nkind: List\nitems:\n/);
});

test('ls of nothing says so on standard error, and prints an empty list for programs', async () => {
  const { code, stdout, stderr } = await runPlugin(api, ['ls']);
  expect([code, stdout.toString(), stderr]).toEqual([0, '', 'no sessions in namespace "shop"\n']);
  expect(JSON.parse(await output('ls', '-o', 'json'))).toMatchObject({ items: [] });
});

test('rm ends what it is told to, and one that is missing does not keep the others', async () => {
  store('web-0-a');
  store('web-0-b');
  const { code, stdout, stderr } = await runPlugin(api, ['rm', 'web-0-a', 'dbg/web-0-b', 'web-0-c']);
  expect(stdout.toString().split('\n').sort()).toEqual([
    '',
    'debugsessions.crashcart.dev/web-0-a deleted',
    'debugsessions.crashcart.dev/web-0-b deleted',
  ]);
  expect(stderr).toBe('error: there is no session "web-0-c" in namespace "shop": see "kubectl crashcart ls -A"\n');
  expect(code).toBe(1);
  expect(api.sessions.size).toBe(0);
});

test('rm --all ends all sessions of the namespace only', async () => {
  store('web-0-a');
  store('web-0-b', 'other');
  await output('rm', '--all');
  expect([...api.sessions.keys()]).toEqual(['other/web-0-b']);
});

test('attach goes to a session of others and never deletes it', async () => {
  store('web-0-a');
  api.attached = (socket) => {
    const far = new ScriptedShell(socket);
    far.out('replayed\n');
    far.exit(9);
  };
  const { code, stdout } = await runPlugin(api, ['attach', 'web-0-a']);
  expect([code, stdout.toString()]).toEqual([9, 'replayed\n']);
  expect(api.deleted).toEqual([]);
});

test('attach --watch observes: no input, no window, and never the end of the session', async () => {
  store('web-0-a', 'shop', { spec: { tty: true, stdin: true } });
  const asked: string[] = [];
  let shell: ScriptedShell | undefined;
  api.attached = (socket, _, query) => {
    asked.push(query.toString());
    shell = new ScriptedShell(socket);
    shell.out('seen');
    setTimeout(() => shell?.exit(0), 200);
  };
  const { code, stdout, stderr } = await runPlugin(api, ['attach', 'web-0-a', '--watch'], Buffer.from('typed'));
  expect([code, stdout.toString()]).toEqual([0, 'seen']);
  expect(stderr).toMatch(/watching web-0-a/);
  expect(asked).toEqual([expect.stringContaining('observe=true')]);
  expect([shell?.input, shell?.sizes, shell?.inputEnded]).toEqual([[], [], false]);
  expect(await failure('attach', 'web-0-a', '--watch', '-i')).toMatch(/--watch only reads along/);
});

test('logs of a session that runs: what there is, then its end; -f goes on to the end of the session', async () => {
  store('web-0-a');
  const asked: string[] = [];
  api.attached = (socket, _, query) => {
    asked.push(query.toString());
    const shell = new ScriptedShell(socket);
    shell.out('kept\n');
    shell.err('err\n');
    setTimeout(() => shell.out('later\n'), 1_500);
    setTimeout(() => shell.exit(9), 1_600);
  };
  const now = await runPlugin(api, ['logs', 'web-0-a']);
  expect([now.code, now.stdout.toString(), now.stderr]).toEqual([0, 'kept\n', 'err\n']);
  const followed = await runPlugin(api, ['logs', 'dbg/web-0-a', '-f']);
  expect([followed.code, followed.stdout.toString()]).toEqual([0, 'kept\nlater\n']);
  expect(followed.stderr).toMatch(/^err\n.*exit code 9/);
  for (const query of asked) expect(query).toContain('observe=true');
  expect(api.deleted).toEqual([]);
});

test('logs of a command that never pauses end, and those of a session that failed say why', async () => {
  store('web-0-a');
  api.attached = (socket) => {
    const shell = new ScriptedShell(socket);
    const flood = setInterval(() => shell.out('x'.repeat(30_000)), 1);
    socket.once('close', () => clearInterval(flood));
  };
  const { code, stdout } = await runPlugin(api, ['logs', 'web-0-a']);
  expect(code).toBe(0);
  expect(stdout.length).toBeGreaterThan(900_000);
  const ready = { type: 'Ready', status: 'False', message: 'pod "web-0" is gone' };
  store('web-0-a', 'shop', { status: { phase: 'Failed', conditions: [ready] } });
  expect(await failure('logs', 'web-0-a')).toBe('error: pod "web-0" is gone\n');
});

test('attach to what is not there, or has failed, says so', async () => {
  expect(await failure('attach', 'web-0-a')).toMatch(/^error: there is no session "web-0-a" in namespace "shop"/);
  const conditions = [{ type: 'Ready', status: 'False', reason: 'PodNotFound', message: 'pod "web-0" is gone' }];
  store('web-0-a', 'shop', { status: { phase: 'Failed', conditions } });
  expect(await failure('attach', 'web-0-a')).toBe('error: session "web-0-a" failed: pod "web-0" is gone\n');
});

test('a workload leads to its newest ready pod, which is named on standard error', async () => {
  const pod = (name: string, startTime: string) => ({
    metadata: { name },
    status: { phase: 'Running', startTime, conditions: [{ type: 'Ready', status: 'True' }] },
  });
  const items = [pod('web-1', '2026-01-02T00:00:00Z'), pod('web-0', '2026-01-01T00:00:00Z')];
  api.routes.set('/apis/apps/v1/namespaces/shop/deployments/web', {
    spec: { selector: { matchLabels: { app: 'web' } } },
  });
  api.routes.set('/api/v1/namespaces/shop/pods?labelSelector=app=web&limit=500', { items });
  api.attached = (socket) => new ScriptedShell(socket).exit(0);
  const { code, stderr } = await runPlugin(api, ['deploy/web', '--', 'true']);
  expect([code, stderr]).toEqual([0, 'pod/web-1 (the newest of 2 ready)\n']);
  expect(api.only.spec).toMatchObject({ target: { pod: { name: 'web-1' } } });
  expect(await failure('deploy/nope', '--', 'true')).toMatch(/^error: /);
});

test('a cluster without Crashcart is named as that by create and by version', async () => {
  const status = {
    kind: 'Status',
    status: 'Failure',
    reason: 'NotFound',
    message: 'the server could not find the requested resource',
  };
  api.refuseCreate = { code: 404, status };
  expect(await failure('web-0')).toMatch(/^error: Crashcart is not installed in this cluster: "helm install /);
  api.routes.set('/version', { gitVersion: 'v1.36.3' });
  const { code, stdout } = await runPlugin(api, ['version']);
  expect(stdout.toString()).toMatch(/^Client: .*\nKubernetes: v1\.36\.3\nCrashcart is not installed/);
  expect(code).toBe(1);
});

test('an API server that does not fill in who asks is told what it says of us', async () => {
  api.refuseCreateOnce = {
    code: 422,
    status: {
      kind: 'Status',
      status: 'Failure',
      reason: 'Invalid',
      message: 'denied request: spec.requestedBy is missing: …',
    },
  };
  api.posts.set('/apis/authentication.k8s.io/v1/selfsubjectreviews', {
    status: { userInfo: { username: 'alice', groups: ['dev', 'system:authenticated'] } },
  });
  api.attached = (socket) => new ScriptedShell(socket).exit(0);
  expect(await runPlugin(api, ['web-0', '--reason', 'INC-7', '--', 'true'])).toMatchObject({ code: 0 });
  expect(api.only.spec).toMatchObject({
    reason: 'INC-7',
    requestedBy: { username: 'alice', groups: ['dev', 'system:authenticated'] },
  });
});

const notReady = {
  code: 503,
  status: {
    kind: 'Status',
    status: 'Failure',
    reason: 'ServiceUnavailable',
    message: 'Resource kind crashcart.dev/v1alpha1, Kind=DebugSession not found.',
  },
};

test.each([
  ['does not know sessions yet', notReady],
  ['has made the session, though a proxy said 503', { ...notReady, stored: true }],
])('an API server that %s is asked again, and there is one session', async (_, refusal) => {
  api.refuseCreateOnce = refusal;
  api.attached = (socket) => new ScriptedShell(socket).exit(0);
  const { code, stderr } = await runPlugin(api, ['web-0', '--', 'true']);
  expect([code, stderr]).toEqual([0, 'the API server is not ready for sessions yet: trying again\n']);
  expect(api.requests.filter(({ method }) => method === 'POST')).toHaveLength(2);
  expect(api.only.spec).toMatchObject({ target: { pod: { name: 'web-0' } } });
});

test('one that never gets ready is given up, and nothing is left behind that a proxy may have let through', async () => {
  api.refuseCreateOnce = { ...notReady, stored: true };
  const { child, exited } = startPlugin(api, ['web-0', '--', 'true']);
  const said = text(child.stderr!);
  await eventually(() => expect(api.sessions.size).toBe(1));
  api.refuseCreate = notReady;
  child.kill('SIGINT');
  expect(await exited).not.toBe(0);
  expect(await said).toMatch(/trying again\nerror: .*Kind=DebugSession not found/);
  expect(api.requests.filter(({ method }) => method === 'POST').length).toBeLessThanOrEqual(2);
  expect(api.sessions.size).toBe(0);
});

test('so is one that does not fill in who extends a session, and only then', async () => {
  store('long');
  expect(await runPlugin(api, ['extend', 'long', '--by', '1h'])).toMatchObject({ code: 0 });
  expect(api.only.spec).not.toHaveProperty('extendedBy');
  const message = 'denied request: spec.extendedBy does not name who extends the session: write username alice …';
  api.refusePatchOnce = {
    code: 422,
    status: { kind: 'Status', status: 'Failure', reason: 'Invalid', message },
  };
  api.posts.set('/apis/authentication.k8s.io/v1/selfsubjectreviews', {
    status: { userInfo: { username: 'alice', uid: '7', groups: ['dev'] } },
  });
  expect(await runPlugin(api, ['extend', 'long', '--by', '1h'])).toMatchObject({ code: 0 });
  expect(api.only.spec).toMatchObject({ extendedBy: { username: 'alice', uid: '7' } });
  api.refusePatchOnce = {
    code: 403,
    status: { kind: 'Status', status: 'Failure', reason: 'Forbidden', message: 'the profile lets it last 4h at most' },
  };
  expect(await failure('extend', 'long', '--by', '1h')).toMatch(/the profile lets it last 4h at most/);
});

test('completion knows verbs, pods, containers, sessions and values', async () => {
  api.routes.set('/api/v1/namespaces/shop/pods?limit=500', { items: [{ metadata: { name: 'web-0' } }] });
  api.routes.set('/api/v1/namespaces/shop/pods/web-0', { spec: { containers: [{ name: 'app' }, { name: 'proxy' }] } });
  api.routes.set('/apis/crashcart.dev/v1alpha1/debugprofiles', { items: [{ metadata: { name: 'netadmin' } }] });
  store('web-0-a');
  expect(await output('__complete', 'web')).toBe('web-0\n:4\n');
  expect(await output('__complete', 'pod/')).toBe('pod/web-0\n:4\n');
  expect(await output('__complete', 'de')).toBe('deploy/\n:6\n');
  expect(await output('__complete', 'web-0', '-c', '')).toBe('app\nproxy\n:4\n');
  expect(await output('__complete', 'attach', 'w')).toBe('web-0-a\n:4\n');
  expect(await output('__complete', 'web-0', '--profile', 'net')).toBe('netadmin\n:4\n');
  expect(await output('__complete', 'ls', '--out')).toBe('--output\n:4\n');
  expect(await output('__complete', '--context', 'nope', '')).toContain('attach\n');
});

test('completion scripts are printed for each shell', async () => {
  for (const shell of ['bash', 'zsh', 'fish', 'kubectl']) {
    expect(await output('completion', shell)).toContain('kubectl-crashcart __complete');
  }
});
