import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DebugSession } from '../../src/api/debug-session.ts';
import { must } from '../support/dry-run.ts';
import { crashcart, getJson, kubectl } from '../support/environment.ts';
import { eventLines } from '../support/event-lines.ts';
import { eventually } from '../support/eventually.ts';
import { companyIn, nameOf } from './authority/company.ts';
import { type Answer, dryRun, Person, sessionOf } from './authority/people.ts';

// What of a session's spec one may write, and afterwards change: asked of the real API server and its policies.
const company = companyIn('authority-spec');
const { admin, crew, here } = company;

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
      path: company.path(),
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
  const me = (): Person => company.person('user + exec');

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
    const answer = await company.extend(me(), mine, '2h', body);
    // Left out is the default, and that is what it was.
    if (title === 'no time') expect(answer).toBe('allowed');
    else expect(answer).toMatchObject({ message: expect.stringMatching(message) });
  });

  test('kubectl apply of a manifest with a longer maxDuration is such a patch', async () => {
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': '{}' };
    expect(await company.extend(me(), mine, '2h', { metadata: { annotations } })).toBe('allowed');
  });

  test('it takes the right to go into the pod, and that to the profile', async () => {
    const words = [
      [company.person('user'), mine, /another person’s|create pods\/exec/],
      [company.person('admin'), 'foreign', /needs the right to create pods\/exec/],
    ] as const;
    for (const [by, name, message] of words) {
      expect(await company.extend(by, name, '2h')).toMatchObject({
        code: 403,
        message: expect.stringMatching(message),
      });
    }
    expect(await company.extend(me(), 'foreign-sysadmin', '2h')).toMatchObject({ code: 403 });
  });

  test('another person’s is refused in words', async () => {
    expect(await company.extend(me(), 'foreign', '2h')).toMatchObject({
      message: expect.stringMatching(
        /another person’s: to extend it needs the right to create debugsessions\/attachothers/,
      ),
    });
  });

  test('the cluster’s administrator may label, and may not give what the profile does not allow', async () => {
    const labels = { metadata: { labels: { seen: 'yes' } } };
    expect(await company.patch(admin, 'foreign', labels)).toBe('allowed');
  });
});

describe('who extends a session is written there, and told on session and pod', () => {
  const extended = async (by: Person, name: string, spec: object): Promise<unknown> => {
    const path = company.path(name);
    const contentType = 'application/merge-patch+json';
    const answer = await by.client.request({ method: 'PATCH', path, query: dryRun, body: { spec }, contentType });
    return (answer as DebugSession).spec.extendedBy;
  };
  const gina = { username: 'gina', uid: 'uid-gina' };

  test('nobody is named: the API server fills it in', async () => {
    expect(await extended(crew, 'crews', { maxDuration: '2h' })).toEqual(gina);
  });

  test.each<[string, object]>([
    ['another person', { username: 'authority-owner' }],
    ['another uid', { ...gina, uid: 'uid-else' }],
    ['no uid', { username: gina.username }],
  ])('%s may not be named', async (_, extendedBy) => {
    expect(await company.extend(crew, 'crews', '2h', { spec: { maxDuration: '2h', extendedBy } })).toMatchObject({
      message: expect.stringMatching(/does not name who extends the session: write username gina and uid uid-gina/),
    });
  });

  test('it is not changed without more time, nor written by who creates a session', async () => {
    expect(await company.patch(admin, 'crews', { spec: { extendedBy: gina } })).toMatchObject({
      code: 422,
      message: expect.stringMatching(/it changes with that only/),
    });
    expect(await crew.create(here, { extendedBy: gina })).toMatchObject({
      message: expect.stringMatching(/which nobody has yet; leave it out/),
    });
  });

  test('of several the last one is named, and each of them in an Event', async () => {
    for (const [by, maxDuration] of [
      [crew, '2h'],
      [company.owner, '150m'],
    ] as const) {
      const body = { spec: { maxDuration } };
      const path = company.path('crews');
      await by.client.request({ method: 'PATCH', path, body, contentType: 'application/merge-patch+json' });
      await eventually(async () => {
        const status = await getJson<DebugSession>(['get', 'dbg/crews', '-n', here]);
        expect(status.status?.maxDuration).toBe(maxDuration === '2h' ? '2h' : '2h30m');
      });
    }
    expect(await extended(crew, 'crews', { maxDuration: '3h' })).toEqual(gina);
    await eventually(async () => {
      const selector = '--field-selector=reason=DebugSessionExtended';
      const events = await eventLines(here, ['involvedObject.kind', 'message'], selector);
      for (const kind of ['DebugSession', 'Pod']) {
        const told = `${kind} debug session crews of gina was extended by`;
        expect(events).toMatch(new RegExp(`^${told} gina: 1h more, it may last 2h, until 20\\d\\d-\\S+Z$`, 'm'));
        expect(events).toMatch(
          new RegExp(`^${told} authority-owner: 30m more, it may last 2h30m, until 20\\d\\d-\\S+Z$`, 'm'),
        );
      }
    });
  });
});

describe('on an API server that fills in nothing, as before Kubernetes 1.36', () => {
  const kind = 'mutatingadmissionpolicybinding';
  const names = ['debugsessions.crashcart.dev', 'debugsessions-extension.crashcart.dev'];
  let list: { readonly items: { readonly metadata: Readonly<Record<string, unknown>> }[] };

  beforeAll(async () => {
    list = await getJson(['get', kind, ...names]);
    await must('delete', kind, ...names);
    await eventually(async () => {
      for (const answer of [crew.create(here), company.extend(crew, 'crews', '5h')]) {
        expect(await answer).toMatchObject({
          message: expect.stringMatching(/requestedBy is missing|does not name who/),
        });
      }
    });
  });
  afterAll(async () => {
    const items = list.items.map(({ metadata: { uid: _, resourceVersion: __, ...metadata }, ...rest }) => ({
      ...rest,
      metadata,
    }));
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
    expect(await kubectl(['create', '-f', '-'], { input })).toMatchObject({ code: 0 });
    await eventually(async () => {
      expect(await crew.create(here)).toBe('allowed');
      expect(await company.extend(crew, 'crews', '5h')).toBe('allowed');
    });
  });

  test('what is not said is refused, with what to write; the last one’s name is not enough', async () => {
    expect(await crew.create(here)).toMatchObject({ message: expect.stringMatching(/write username gina there/) });
    expect(await company.extend(crew, 'crews', '5h')).toMatchObject({
      message: expect.stringMatching(
        /does not name who extends the session: write username gina and uid uid-gina there/,
      ),
    });
    const spec = { maxDuration: '5h', extendedBy: { username: 'gina', uid: 'uid-gina' } };
    expect(await company.extend(crew, 'crews', '5h', { spec })).toBe('allowed');
  });

  test('the plugin says it, at creation and for each who extends', async () => {
    const owner = 'authority-owner';
    const visit = ['pod/box', '-n', here, '--', 'echo', 'in'];
    expect(await crashcart(visit, { as: owner })).toMatchObject({ code: 0, stdout: 'in\n' });
    for (const as of [owner, nameOf('admin + exec')]) {
      expect(await crashcart(['extend', 'foreign', '-n', here, '--by', '10m'], { as })).toMatchObject({ code: 0 });
      expect((await getJson<DebugSession>(['get', 'dbg/foreign', '-n', here])).spec.extendedBy).toMatchObject({
        username: as,
      });
    }
  });
});

describe('what nobody changes, the cluster’s administrator included', () => {
  const patch = (body: object, subresource?: string): Promise<Answer> =>
    company.patch(admin, 'foreign', body, subresource);
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
