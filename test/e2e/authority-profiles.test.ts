import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { apiVersion, profileKind, profilePlural } from '../../src/api/names.ts';
import { resourcePath } from '../../src/kube/paths.ts';
import { must } from '../support/dry-run.ts';
import { getJson, kubectl } from '../support/environment.ts';
import { eventLines } from '../support/event-lines.ts';
import { eventually } from '../support/eventually.ts';
import { companyIn } from './authority/company.ts';
import { dryRun, sessionOf } from './authority/people.ts';

// Profiles of one's own and those that are shipped, and what the Events say of who came: on the real cluster.
const company = companyIn('authority-profiles');
const { admin, crew, here } = company;

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
    await company.bind('--group=authority-crew', 'authority-use');
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
    const answer = await company.person('user + exec').create(here, { profile: 'authority-strict', reason: 'x' });
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
    await company.start(crew, 'strict', {
      profile: 'authority-strict',
      reason: 'INC-7',
      target: { pod: { name: 'plain' } },
    });
    const { status, spec } = await getJson<{ status: Record<string, unknown>; spec: Record<string, unknown> }>([
      'get',
      'dbg/strict',
      '-n',
      here,
    ]);
    expect(status).toMatchObject({ profileGeneration: 1, maxDuration: '10m', idleTimeout: '15m' });
    expect(spec['maxDuration']).toBe('1h');
    await eventually(async () => {
      const events = await eventLines(here, ['involvedObject.kind', 'related.kind', 'related.name', 'message']);
      expect(events).toContain(
        'Pod DebugSession strict debug session strict of gina runs in container "plain" with profile authority-strict, because: INC-7',
      );
    });
    // Nor are more than its ten minutes, for whoever asks.
    for (const by of [crew, admin]) {
      expect(await company.extend(by, 'strict', '2h')).toMatchObject({
        code: 403,
        message: expect.stringMatching(/the profile authority-strict lets a session last 10m at most, not 2h/),
      });
    }
    // Root is not for this profile, whatever its name: the agent decides by the rules.
    const body = sessionOf(here, 'root', { profile: 'authority-strict', reason: 'x', tty: false, command: ['id'] });
    expect(await crew.try({ method: 'POST', path: company.path(), body })).toBe('allowed');
    await must('wait', '-n', here, 'dbg/root', '--for=jsonpath={.status.phase}=Failed', '--timeout=20s');
    expect(
      await must('get', '-n', here, 'dbg/root', '-o', 'jsonpath={.status.conditions[?(@.type=="Ready")].message}'),
    ).toMatch(/"authority-strict" does not run as root/);
    await must('delete', '-n', here, 'dbg/root', 'dbg/strict', '--timeout=30s');
  });

  test('that does not exist fails the session by its name', async () => {
    const body = sessionOf(here, 'lost', { profile: 'nowhere', tty: false, command: ['id'] });
    expect(await admin.try({ method: 'POST', path: company.path(), body })).toBe('allowed');
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
    await company.person('user + exec').attach(here, 'foreign');
    await company.person('admin + exec').attach(here, 'foreign');
    await company.person('observer').attach(here, 'foreign', true);
    await eventually(async () => {
      const events = await eventLines(here, ['involvedObject.kind', 'reason', 'message']);
      expect(events).toMatch(
        /DebugSession DebugSessionRefused authority-user-exec was refused at debug session foreign of authority-owner/,
      );
      expect(events).toMatch(/DebugSession DebugSessionJoined authority-admin-exec attached to debug session foreign/);
      expect(events).toMatch(/Pod DebugSessionJoined authority-admin-exec/);
      expect(events).toMatch(/DebugSession DebugSessionObserved authority-observer reads along/);
    });
  });
});
