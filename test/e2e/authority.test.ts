import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { apiVersion, plural, profileKind, profilePlural } from '../../src/api/names.ts';
import { resourcePath } from '../../src/kube/paths.ts';
import { must } from '../support/dry-run.ts';
import { getJson, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { type Act, acts, type Column, columns, elsewhere, markdown, rolesOf } from './authority/matrix.ts';
import { type Answer, dryRun, Person, sessionOf } from './authority/people.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

// Who may do what: every cell of the table in docs/rights.md, asked of the real API server, its policies and the gateway.
const here = 'authority';
const there = 'authority-elsewhere';

/** The same rights by three ways: a name, a group, a service account with a token of its own. */
const people = new Map<Column, Person>();
const admin = new Person();
let crew: Person;
let robot: Person;
let owner: Person;

const nameOf = (column: Column): string => `authority-${column.replaceAll(/[^a-z]+/g, '-')}`;
const person = (column: Column): Person => people.get(column) ?? new Person({ as: nameOf(column) });
const path = (namespace: string, name?: string, subresource?: string): string =>
  resourcePath(apiVersion, plural, { namespace, ...(name ? { name } : {}), ...(subresource ? { subresource } : {}) });

async function bind(subject: string, role: string): Promise<void> {
  const name = `${subject}-${role}`.replaceAll(/[^a-z]+/g, '-').replace(/^-/, '');
  await must('create', 'rolebinding', name, '-n', here, `--clusterrole=${role}`, subject);
}

/** A session that sleeps in the pod until it is deleted, started by `by`. */
async function start(by: Person, name: string, spec: object = {}): Promise<void> {
  const body = sessionOf(here, name, { tty: false, command: ['sleep', '600'], ...spec });
  await eventually(async () => expect(await by.try({ method: 'POST', path: path(here), body })).toBe('allowed'));
  await must('wait', '-n', here, `dbg/${name}`, '--for=condition=Ready', '--timeout=30s');
}

beforeAll(async () => {
  for (const namespace of [here, there]) await must('create', 'namespace', namespace);
  await must('wait', '-n', here, '--for=create', '--timeout=30s', 'serviceaccount/default');
  await must('create', 'serviceaccount', 'robot', '-n', here);
  const image = ['--image=localhost/busybox:1', '--image-pull-policy=IfNotPresent'];
  await must('run', 'box', '-n', here, ...image, '--command', '--', 'sleep', '1000000');
  await must('create', 'clusterrole', 'authority-exec', '--verb=create', '--resource=pods/exec');
  for (const column of columns) {
    people.set(column, new Person({ as: nameOf(column) }));
    for (const role of rolesOf[column]) await bind(`--user=${nameOf(column)}`, role);
  }
  for (const role of rolesOf['user + exec']) {
    await bind('--group=authority-crew', role);
    await bind(`--serviceaccount=${here}:robot`, role);
    await bind('--user=authority-owner', role);
  }
  await bind('--user=authority-owner', 'crashcart-admin');
  await must('wait', '-n', here, 'pod/box', '--for=condition=Ready', '--timeout=60s');
  crew = new Person({ as: 'gina', asGroups: ['authority-crew', 'Büro, 2. Stock'], asUid: 'uid-gina' });
  robot = new Person({ token: (await must('create', 'token', 'robot', '-n', here)).trim() });
  owner = new Person({ as: 'authority-owner' });
  await start(owner, 'foreign');
  await start(owner, 'foreign-sysadmin', { profile: 'sysadmin' });
  await Promise.all([
    ...(['user + exec', 'admin + exec'] as const).map((column) => start(person(column), nameOf(column))),
    start(crew, 'crews'),
    start(robot, 'robots'),
  ]);
  // The API server's authoriser hears of a role binding a moment later.
  for (const column of columns.filter((each) => rolesOf[each].some((role) => role.startsWith('crashcart')))) {
    await eventually(async () => expect(await attempt(person(column), column, acts[0]!, here)).toBe('allowed'));
  }
});

afterAll(async () => {
  await kubectl(['delete', 'debugsessions', '--all', '-n', here, '--timeout=60s']);
  await kubectl(['delete', 'namespace', here, there, '--wait=false']);
  await kubectl(['delete', 'clusterrole', 'authority-exec']);
  for (const each of [...people.values(), admin, crew, robot, owner]) each?.close();
});

/** How each act is tried. Nothing is changed by it: dry runs, and attaches that are closed at once. */
function attempt(by: Person, column: Column, { by: how }: Act, namespace: string): Promise<Answer> {
  const patch = (name: string, body: object, subresource?: string): Promise<Answer> =>
    by.try({
      method: 'PATCH',
      path: path(namespace, name, subresource),
      query: dryRun,
      body,
      contentType: 'application/merge-patch+json',
    });
  switch (how) {
    case 'get':
      return by.try({ method: 'GET', path: path(namespace, 'foreign') });
    case 'list':
      return by.try({ method: 'GET', path: path(namespace), query: { limit: 5 } });
    case 'watch':
      return by.watch(path(namespace));
    case 'delete':
      return by.try({ method: 'DELETE', path: path(namespace, 'foreign'), query: dryRun });
    case 'extend':
      return patch(sessionFor(column, 'own'), { spec: { maxDuration: '2h' } });
    case 'extendForeign':
      return patch('foreign', { spec: { maxDuration: '2h' } });
    case 'change':
      return patch('foreign', { spec: { idleTimeout: '2h' } });
    case 'label':
      return patch('foreign', { metadata: { labels: { mine: 'now' } } });
    case 'status':
      return patch('foreign', { status: { phase: 'Finished' } }, 'status');
    case 'release':
      return patch('foreign', { metadata: { finalizers: [] } });
    case 'profiles':
      return by.try({ method: 'GET', path: resourcePath(apiVersion, profilePlural) });
    case 'define':
      return by.try({ method: 'POST', path: resourcePath(apiVersion, profilePlural), query: dryRun, body: nightShift });
    default:
      if ('create' in how) return by.create(namespace, { profile: how.create });
      return by.attach(namespace, sessionFor(column, how.attach), how.observe);
  }
}

const extend = (by: Person, name: string, maxDuration: string, more: object = {}): Promise<Answer> =>
  by.try({
    method: 'PATCH',
    path: path(here, name),
    query: dryRun,
    body: { spec: { maxDuration }, ...more },
    contentType: 'application/merge-patch+json',
  });

const nightShift = {
  apiVersion,
  kind: profileKind,
  metadata: { name: 'night-shift' },
  spec: { capabilities: { add: ['ALL'] }, users: 'Any' },
};

const sessionFor = (column: Column, whose: 'own' | 'foreign' | 'foreign of sysadmin'): string => {
  if (whose === 'own') return column === 'user + exec' || column === 'admin + exec' ? nameOf(column) : 'foreign';
  return whose === 'foreign' ? 'foreign' : 'foreign-sysadmin';
};

/** The schema comes before the policies: whoever may patch at all is told by it. */
const refusalOf = ({ by }: Act): object => ({
  code: by === 'change' ? expect.toSatisfy((code) => code === 403 || code === 422) : 403,
});

const cells = (of: readonly Act[]): [string, Column, Act][] =>
  of.flatMap((act) => columns.map((column): [string, Column, Act] => [`${column}: ${act.title}`, column, act]));

test('the table in docs/rights.md is this one', async () => {
  const page = await readFile(join(import.meta.dirname, '../../docs/rights.md'), 'utf8');
  expect(page).toContain(markdown());
});

describe('in the namespace of the binding', () => {
  test.each(cells(acts))('%s', async (_, column, act) => {
    const answer = await attempt(person(column), column, act, here);
    if (act.allowed.includes(column)) expect(answer).toBe('allowed');
    else expect(answer).toMatchObject(refusalOf(act));
  });
});

describe('in another namespace nobody may', () => {
  test.each(cells(elsewhere))('%s', async (_, column, act) => {
    expect(await attempt(person(column), column, act, there)).toMatchObject({ code: 403 });
  });
});

describe('a right of a group, or of a service account with its own token, is as good', () => {
  const others: [string, () => Person, string][] = [
    ['a member of the group', () => crew, 'crews'],
    ['a service account', () => robot, 'robots'],
  ];
  test.each(
    others.flatMap(([title, who, own]) =>
      acts.map((act): [string, () => Person, string, Act] => [`${title}: ${act.title}`, who, own, act]),
    ),
  )('%s', async (_, who, own, act) => {
    const isOwn = typeof act.by === 'object' && 'attach' in act.by && act.by.attach === 'own';
    const answer = await (isOwn
      ? who().attach(here, own)
      : act.by === 'extend'
        ? extend(who(), own, '2h')
        : attempt(who(), 'user + exec', act, here));
    if (act.allowed.includes('user + exec')) expect(answer).toBe('allowed');
    else expect(answer).toMatchObject(refusalOf(act));
  });
});

describe('who is written in a session is who creates it', () => {
  const me = {
    username: 'gina',
    uid: 'uid-gina',
    groups: ['authority-crew', 'Büro, 2. Stock', 'system:authenticated'],
  };
  test('nobody is written: the API server fills it in', async () => {
    const { client } = crew;
    const stored = await client.request({
      method: 'POST',
      path: path(here),
      query: dryRun,
      body: sessionOf(here, 'tried', {}),
    });
    expect((stored as { spec: { requestedBy: unknown } }).spec.requestedBy).toEqual(me);
  });

  test.each<[string, object]>([
    ['oneself', me],
    ['oneself, the groups in another order', { ...me, groups: me.groups.toReversed() }],
  ])('%s passes', async (_, requestedBy) => {
    expect(await crew.create(here, { requestedBy })).toBe('allowed');
  });

  test.each<[string, object, RegExp]>([
    ['another person', { username: 'alice' }, /names alice, but the session is created by gina/],
    ['an administrator', { ...me, username: 'kubernetes-admin' }, /names kubernetes-admin, but/],
    ['another uid', { ...me, uid: 'uid-else' }, /does not have the uid and the groups of gina/],
    ['no uid', { username: me.username, groups: me.groups }, /does not have the uid and the groups/],
    ['one group more', { ...me, groups: [...me.groups, 'system:masters'] }, /does not have the uid and the groups/],
    ['one group less', { ...me, groups: me.groups.slice(1) }, /does not have the uid and the groups/],
    ['no groups', { ...me, groups: [] }, /does not have the uid and the groups/],
  ])('%s does not', async (_, requestedBy, message) => {
    expect(await crew.create(here, { requestedBy })).toMatchObject({ message: expect.stringMatching(message) });
  });

  test('not even the cluster’s administrator writes somebody else', async () => {
    expect(await admin.create(here, { requestedBy: me })).toMatchObject({
      message: expect.stringMatching(/names gina/),
    });
  });

  test('a user with hundreds of groups can create a session', async () => {
    const asGroups = ['authority-crew', ...Array.from({ length: 400 }, (_, at) => `group-${at}`)];
    const busy = new Person({ as: 'busy', asGroups });
    expect(await busy.create(here)).toBe('allowed');
    const groups = [...asGroups, 'system:authenticated'];
    expect(await busy.create(here, { requestedBy: { username: 'busy', groups } })).toBe('allowed');
    expect(await busy.create(here, { requestedBy: { username: 'busy', groups: groups.slice(1) } })).not.toBe('allowed');
    busy.close();
  });
});

describe('the right to patch is the right to extend, and nothing else', () => {
  const mine = nameOf('user + exec');
  const me = (): Person => person('user + exec');

  test.each<[string, object, RegExp]>([
    ['a label beside', { metadata: { labels: { mine: 'now' } } }, /only spec.maxDuration can be changed/],
    ['an annotation beside', { metadata: { annotations: { 'crashcart.dev/audit-id': 'x' } } }, /only spec.maxDuration/],
    [
      'an owner beside',
      { metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'box', uid: 'x' }] } },
      /only spec.maxDuration/,
    ],
    [
      'a finalizer beside',
      { metadata: { finalizers: ['crashcart.dev/session', 'example.dev/mine'] } },
      /finalizers need the right/,
    ],
    ['another field beside', { spec: { maxDuration: '2h', tty: true } }, /only maxDuration can be changed/],
    ['less time', { spec: { maxDuration: '30m' } }, /can only be made longer/],
    ['more than a day', { spec: { maxDuration: '25h' } }, /between 1s and 24h/],
    ['no time', { spec: { maxDuration: null } }, /^$/],
  ])('%s', async (title, body, message) => {
    const answer = await extend(me(), mine, '2h', body);
    // Left out is the default, and that is what it was.
    if (title === 'no time') expect(answer).toBe('allowed');
    else expect(answer).toMatchObject({ message: expect.stringMatching(message) });
  });

  test('kubectl apply of a manifest with a longer maxDuration is such a patch', async () => {
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': '{}' };
    expect(await extend(me(), mine, '2h', { metadata: { annotations } })).toBe('allowed');
  });

  test('it takes the right to go into the pod, and that to the profile', async () => {
    const words = [
      [person('user'), mine, /another person’s|create pods\/exec/],
      [person('admin'), 'foreign', /needs the right to create pods\/exec/],
    ] as const;
    for (const [by, name, message] of words) {
      expect(await extend(by, name, '2h')).toMatchObject({ code: 403, message: expect.stringMatching(message) });
    }
    expect(await extend(me(), 'foreign-sysadmin', '2h')).toMatchObject({ code: 403 });
  });

  test('another person’s is refused in words', async () => {
    expect(await extend(me(), 'foreign', '2h')).toMatchObject({
      message: expect.stringMatching(
        /another person’s: to extend it needs the right to create debugsessions\/attachothers/,
      ),
    });
  });

  test('the cluster’s administrator may label, and may not give what the profile does not allow', async () => {
    const labels = { metadata: { labels: { seen: 'yes' } } };
    const answer = admin.try({
      method: 'PATCH',
      path: path(here, 'foreign'),
      query: dryRun,
      body: labels,
      contentType: 'application/merge-patch+json',
    });
    expect(await answer).toBe('allowed');
  });
});

describe('what nobody changes, the cluster’s administrator included', () => {
  const patch = (body: object, subresource?: string): Promise<Answer> =>
    admin.try({
      method: 'PATCH',
      path: path(here, 'foreign', subresource),
      query: dryRun,
      body,
      contentType: 'application/merge-patch+json',
    });
  test.each<[string, object, RegExp]>([
    ['the profile', { profile: 'sysadmin' }, /cannot be changed/],
    ['the target', { target: { pod: { name: 'other' } } }, /cannot be changed/],
    ['who asked', { requestedBy: { username: 'gina' } }, /cannot be changed/],
    ['that somebody asked', { requestedBy: null }, /only maxDuration can be changed/],
    ['a reason afterwards', { reason: 'because' }, /only maxDuration can be changed/],
  ])('%s', async (_, spec, message) => {
    expect(await patch({ spec })).toMatchObject({ code: 422, message: expect.stringMatching(message) });
  });

  test('the status', async () => {
    expect(await patch({ status: { nodeName: 'elsewhere' } }, 'status')).toMatchObject({
      message: expect.stringMatching(/written by the controller only/),
    });
  });
});

describe('a profile of one’s own', () => {
  const profile = (name: string, spec: object) => ({ apiVersion, kind: profileKind, metadata: { name }, spec });
  const define = (name: string, spec: object): Promise<unknown> =>
    admin.client.request({ method: 'POST', path: resourcePath(apiVersion, profilePlural), body: profile(name, spec) });
  const names = ['authority-strict'];

  beforeAll(async () => {
    await define('authority-strict', {
      description: 'Ten minutes, with a reason, never as root.',
      runAsNonRoot: true,
      capabilities: { drop: ['ALL'] },
      visibilities: ['Session'],
      toolboxes: ['default'],
      maxDuration: '10m',
      requireReason: true,
      limits: { memory: '64Mi', pids: 32, cpu: '500m' },
    });
    // kubectl makes no role with the verb `use`: it is not one of the API's.
    const role = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'authority-use' },
      rules: [{ apiGroups: ['crashcart.dev'], resources: [profilePlural], resourceNames: names, verbs: ['use'] }],
    };
    await kubectl(['apply', '-f', '-'], { input: JSON.stringify(role) });
    await bind('--group=authority-crew', 'authority-use');
    await eventually(async () =>
      expect(await crew.create(here, { profile: 'authority-strict', reason: 'INC-7' })).toBe('allowed'),
    );
  });
  afterAll(async () => {
    await kubectl(['delete', 'debugprofile', ...names]);
    await kubectl(['delete', 'clusterrole', 'authority-use']);
  });

  test.each<[string, object, RegExp]>([
    ['a missing reason', {}, /requires a reason: give one with --reason/],
    ['a visibility', { reason: 'x', visibility: 'Container' }, /does not allow the visibility Container, only Session/],
    ['a toolbox', { reason: 'x', toolbox: 'net' }, /does not allow the toolbox net, only default/],
  ])('says no to %s at creation', async (_, spec, message) => {
    const answer = await crew.create(here, { profile: 'authority-strict', ...spec });
    expect(answer).toMatchObject({ message: expect.stringMatching(message) });
  });

  test('may not be used by who lacks the right, in words', async () => {
    const answer = await person('user + exec').create(here, { profile: 'authority-strict', reason: 'x' });
    expect(answer).toMatchObject({
      message: expect.stringMatching(/needs the right to use debugprofiles\/authority-strict/),
    });
  });

  test('rules the session by what it says, and its generation is noted', async () => {
    await must(
      'run',
      'plain',
      '-n',
      here,
      '--image=localhost/busybox:1',
      '--image-pull-policy=IfNotPresent',
      '--overrides',
      JSON.stringify({ spec: { securityContext: { runAsUser: 1000 } } }),
      '--command',
      '--',
      'sleep',
      '1000000',
    );
    await must('wait', '-n', here, 'pod/plain', '--for=condition=Ready', '--timeout=60s');
    await start(crew, 'strict', { profile: 'authority-strict', reason: 'INC-7', target: { pod: { name: 'plain' } } });
    const { status, spec } = await getJson<{ status: Record<string, unknown>; spec: Record<string, unknown> }>([
      'get',
      'dbg/strict',
      '-n',
      here,
    ]);
    expect(status).toMatchObject({ profileGeneration: 1, maxDuration: '10m', idleTimeout: '15m' });
    expect(spec['maxDuration']).toBe('1h');
    await eventually(async () => {
      const events = await must(
        'get',
        'events',
        '-n',
        here,
        '-o',
        'jsonpath={range .items[*]}{.involvedObject.kind} {.message}{"\\n"}{end}',
      );
      const message =
        'debug session strict of gina runs in container "plain" with profile authority-strict, because: INC-7';
      expect(events).toContain(`DebugSession ${message}`);
      expect(events).toContain(`Pod ${message}`);
    });
    // Nor are more than its ten minutes, for whoever asks.
    for (const by of [crew, admin]) {
      expect(await extend(by, 'strict', '2h')).toMatchObject({
        code: 403,
        message: expect.stringMatching(/the profile authority-strict lets a session last 10m at most, not 2h/),
      });
    }
    // Root is not for this profile, whatever its name: the agent decides by the rules.
    const body = sessionOf(here, 'root', { profile: 'authority-strict', reason: 'x', tty: false, command: ['id'] });
    expect(await crew.try({ method: 'POST', path: path(here), body })).toBe('allowed');
    await must('wait', '-n', here, 'dbg/root', '--for=jsonpath={.status.phase}=Failed', '--timeout=20s');
    expect(
      await must('get', '-n', here, 'dbg/root', '-o', 'jsonpath={.status.conditions[?(@.type=="Ready")].message}'),
    ).toMatch(/"authority-strict" does not run as root/);
    await must('delete', '-n', here, 'dbg/root', 'dbg/strict', '--timeout=30s');
  });

  test('that does not exist fails the session by its name', async () => {
    const body = sessionOf(here, 'lost', { profile: 'nowhere', tty: false, command: ['id'] });
    expect(await admin.try({ method: 'POST', path: path(here), body })).toBe('allowed');
    await must('wait', '-n', here, 'dbg/lost', '--for=jsonpath={.status.phase}=Failed', '--timeout=20s');
    expect(
      await must('get', '-n', here, 'dbg/lost', '-o', 'jsonpath={.status.conditions[?(@.type=="Ready")].reason}'),
    ).toBe('ProfileNotFound');
    await must('delete', '-n', here, 'dbg/lost', '--timeout=30s');
  });

  test.each<[string, object, RegExp]>([
    ['a capability that is none', { capabilities: { add: ['EVERYTHING'] } }, /Unsupported value: "EVERYTHING"/],
    ['too little memory', { limits: { memory: '1Mi' } }, /at least 16Mi/],
    ['memory that is no amount', { limits: { memory: 'lots' } }, /must be an amount of memory/],
    ['a day and more', { maxDuration: '25h' }, /between 1s and 24h/],
    ['a recording that is none', { recording: 'Some' }, /Unsupported value: "Some"/],
    ['no visibility', { visibilities: [] }, /visibilities/],
    ['a misspelt field', { seccompProfile: 'x' }, /unknown field/],
  ])('with %s is refused', async (_, spec, message) => {
    const answer = await admin.try({
      method: 'POST',
      path: resourcePath(apiVersion, profilePlural),
      query: { ...dryRun, fieldValidation: 'Strict' },
      body: profile('tried', spec),
    });
    expect(answer).toMatchObject({ message: expect.stringMatching(message) });
  });
});

describe('the shipped profiles', () => {
  test('are there, and one that is deleted or changed comes back as it was', async () => {
    const { items } = await getJson<{ items: { metadata: { name: string } }[] }>(['get', 'debugprofiles']);
    const shipped = ['general', 'baseline', 'restricted', 'netadmin', 'sysadmin'];
    expect(items.map(({ metadata }) => metadata.name)).toEqual(expect.arrayContaining(shipped));
  });
});

describe('a refusal and a visit', () => {
  test('at another person’s session stand in its Events, and on the pod who came in', async () => {
    await person('user + exec').attach(here, 'foreign');
    await person('admin + exec').attach(here, 'foreign');
    await person('observer').attach(here, 'foreign', true);
    await eventually(async () => {
      const events = await must(
        'get',
        'events',
        '-n',
        here,
        '-o',
        'jsonpath={range .items[*]}{.involvedObject.kind} {.reason} {.message}{"\\n"}{end}',
      );
      expect(events).toMatch(
        /DebugSession DebugSessionRefused authority-user-exec was refused at debug session foreign of authority-owner/,
      );
      expect(events).toMatch(/DebugSession DebugSessionJoined authority-admin-exec attached to debug session foreign/);
      expect(events).toMatch(/Pod DebugSessionJoined authority-admin-exec/);
      expect(events).toMatch(/DebugSession DebugSessionObserved authority-observer reads along/);
    });
  });
});

describe('in the end', () => {
  nothingLeftAfterEach();
  test('all sessions go', async () => {
    await must('delete', 'debugsessions', '--all', '-n', here, '--timeout=60s');
  });
});
