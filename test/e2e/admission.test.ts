import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dryRun, must, type Spec, session as sessionIn } from '../support/dry-run.ts';
import { getJson, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';

// Who may create a session, by the admission policies and the roles of the chart. rights.test.ts asks the same through the plugin.
const namespace = 'admission';
const session = (spec?: Spec, metadata?: Record<string, unknown>): Record<string, unknown> =>
  sessionIn(spec, { namespace, ...metadata });

const bind = (user: string, role: string): Promise<string> =>
  must(
    'create',
    'rolebinding',
    `${user}-${role.replaceAll(':', '-')}`,
    `--clusterrole=${role}`,
    `--user=${user}`,
    '-n',
    namespace,
  );

beforeAll(async () => {
  await must('create', 'namespace', namespace);
  await must('create', 'clusterrole', 'admission-exec', '--verb=create', '--resource=pods/exec');
  // alice: may use sessions and exec; rob: sessions only; ada: everything that crashcart-admin adds.
  await bind('alice', 'crashcart-user');
  await bind('alice', 'admission-exec');
  await bind('rob', 'crashcart-user');
  await bind('ada', 'crashcart-admin');
  await bind('ada', 'admission-exec');
});

afterAll(async () => {
  await kubectl(['delete', 'namespace', namespace, '--wait=false']);
  await kubectl(['delete', 'clusterrole', 'admission-exec']);
});

describe('who may create a session', () => {
  test('may exec into the pod and use the profile', async () => {
    await eventually(async () => expect(await dryRun(session(), 'alice')).toMatchObject({ code: 0 }));
    await eventually(async () =>
      expect(await dryRun(session({ profile: 'sysadmin' }), 'ada')).toMatchObject({ code: 0 }),
    );
  });

  test('is refused without exec, and told the right, the pod and the namespace', async () => {
    await eventually(async () => {
      const { code, stderr } = await dryRun(session(), 'rob');
      expect(stderr).toMatch(
        /a session in pod web-0 needs the right to create pods\/exec on it, and rob does not have it in namespace admission; ask for a role/,
      );
      expect(code).toBe(1);
    });
  });

  test('is refused exec on another pod than the one that the right names', async () => {
    await must(
      'create',
      'role',
      'one-pod',
      '--verb=create',
      '--resource=pods/exec',
      '--resource-name=web-1',
      '-n',
      namespace,
    );
    await must('create', 'rolebinding', 'rob-one-pod', '--role=one-pod', '--user=rob', '-n', namespace);
    const other = session({ target: { pod: { name: 'web-1' } } });
    await eventually(async () => expect(await dryRun(other, 'rob')).toMatchObject({ code: 0 }));
    expect((await dryRun(session(), 'rob')).stderr).toMatch(/needs the right to create pods\/exec/);
  });

  test.each(['netadmin', 'sysadmin'])(
    'is refused the profile %s as a mere user, and told whom to ask',
    async (profile) => {
      await eventually(async () => {
        const { code, stderr } = await dryRun(session({ profile }), 'alice');
        expect(stderr).toMatch(
          `profile ${profile} needs the right to use debugprofiles/${profile} in crashcart.dev, and alice does not`,
        );
        expect(stderr).toMatch(/choose another profile or ask for the role crashcart-admin/);
        expect(code).toBe(1);
      });
    },
  );

  test('has these rights in the namespace of the binding only', async () => {
    const elsewhere = session({}, { namespace: 'default' });
    expect((await dryRun(elsewhere, 'alice')).stderr).toMatch(/User "alice" cannot create resource "debugsessions"/);
  });

  test('gets the rights of an impersonated group, too', async () => {
    await must('create', 'rolebinding', 'crew-exec', '--clusterrole=admission-exec', '--group=crew', '-n', namespace);
    await must('create', 'rolebinding', 'crew-user', '--clusterrole=crashcart-user', '--group=crew', '-n', namespace);
    const create = ['create', '--dry-run=server', '-f', '-', '--as=gina', '--as-group=crew'];
    await eventually(async () =>
      expect(await kubectl(create, { input: JSON.stringify(session()) })).toMatchObject({ code: 0 }),
    );
  });
});

/** Asked of the API server's authoriser itself: `kubectl auth can-i` needs discovery to know the resource. */
async function may(user: string, verb: string, resource: string, subresource?: string): Promise<boolean> {
  const [name, ...group] = resource.split('.');
  const attributes = { namespace, verb, group: group.join('.'), resource: name, subresource };
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    spec: { user, groups: ['system:authenticated', 'system:serviceaccounts'], resourceAttributes: attributes },
  };
  const { stdout, stderr } = await kubectl(['create', '-o', 'json', '-f', '-'], { input: JSON.stringify(review) });
  if (stdout === '') throw new Error(stderr);
  return (JSON.parse(stdout) as { status: { allowed: boolean } }).status.allowed;
}

describe('the roles for people', () => {
  const sessions = 'debugsessions.crashcart.dev';

  test('crashcart-user: sessions and attach, but no change beyond a longer duration, no exec, no status', async () => {
    await eventually(async () => expect(await may('rob', 'create', sessions)).toBe(true));
    // What `patch` may change is in the hands of the admission policy: authority-spec.test.ts.
    for (const verb of ['get', 'list', 'watch', 'patch', 'delete']) expect(await may('rob', verb, sessions)).toBe(true);
    for (const verb of ['update', 'deletecollection']) expect(await may('rob', verb, sessions)).toBe(false);
    for (const verb of ['get', 'create'])
      expect(await may('rob', verb, 'debugsessions.subresources.crashcart.dev', 'attach')).toBe(true);
    expect(await may('rob', 'patch', sessions, 'status')).toBe(false);
    expect(await may('rob', 'update', sessions, 'finalizers')).toBe(false);
    expect(await may('rob', 'create', 'pods', 'exec')).toBe(false);
  });

  test('the agents may do nothing that not every service account may', async () => {
    const agent = 'system:serviceaccount:crashcart-system:crashcart-agent';
    for (const resource of [sessions, 'pods', 'nodes', 'secrets', 'configmaps'])
      expect(await may(agent, 'get', resource)).toBe(false);
    const bindings = await getJson<{ items: Array<{ subjects?: Array<{ name: string }> }> }>([
      'get',
      'clusterrolebindings,rolebindings',
      '-A',
    ]);
    const bound = bindings.items.flatMap((item) => item.subjects ?? []).map((subject) => subject.name);
    expect(bound).toContain('crashcart-controller');
    expect(bound).not.toContain('crashcart-agent');
  });

  test('the controller cannot create APIServices, read foreign Secrets, list pods or exec', async () => {
    const controller = 'system:serviceaccount:crashcart-system:crashcart-controller';
    expect(await may(controller, 'get', 'pods')).toBe(true);
    expect(await may(controller, 'create', 'apiservices.apiregistration.k8s.io')).toBe(false);
    expect(await may(controller, 'get', 'secrets')).toBe(false);
    expect(await may(controller, 'list', 'pods')).toBe(false);
    expect(await may(controller, 'create', 'pods', 'exec')).toBe(false);
  });
});
