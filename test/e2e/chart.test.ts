import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { phases, profiles, visibilities } from '../../src/api/debug-session.ts';
import * as names from '../../src/api/names.ts';
import { durationPattern } from '../../src/base/duration.ts';
import { cluster } from '../support/environment.ts';
import { run } from '../support/run.ts';

// What the templates say, where no API server would object: names that the programs rely on, and rights.
const root = join(import.meta.dirname, '../..');
const images = ['image.repository=localhost/crashcart', 'toolboxes.default.image=localhost/toolbox:1'];

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

// biome-ignore lint/suspicious/noExplicitAny: manifests of twenty kinds, read by the tests only
type Manifest = Record<string, any>;

const template = (...values: string[]) =>
  run(cluster().tools.helm, [
    'template',
    'crashcart',
    join(root, 'charts/crashcart'),
    '--namespace=somewhere',
    ...values.flatMap((value) => ['--set', value]),
  ]);

async function rendered(...values: string[]): Promise<Manifest[]> {
  const { code, stdout, stderr } = await template(...images, ...values);
  if (code !== 0) throw new Error(stderr);
  return parseAllDocuments(stdout)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);
}

let manifests: Manifest[] = [];
beforeAll(async () => {
  manifests = await rendered();
});

const one = (kind: string, name: string): Manifest => {
  const found = manifests.filter((each) => each['kind'] === kind && each['metadata'].name === name);
  expect(found, `${kind} ${name}`).toHaveLength(1);
  return found[0]!;
};

describe('the names', () => {
  test('are those that the programs use', () => {
    one('Service', names.gatewayService);
    one('Service', names.tunnelService);
    one('ServiceAccount', names.agentServiceAccount);
    one('ServiceAccount', names.controllerServiceAccount);
    expect(one('APIService', names.apiServiceName)['spec']).toMatchObject({
      group: names.subresourceGroup,
      version: names.version,
      service: { name: names.gatewayService, namespace: 'somewhere', port: 443 },
    });
    const agent = one('DaemonSet', 'crashcart-agent')['spec'].template.spec;
    expect(agent.volumes).toContainEqual({ name: 'ca', configMap: { name: names.caConfigMap } });
    expect(JSON.stringify(agent.volumes)).toContain(`"audience":"${names.tokenAudience}"`);
    const role = one('Role', 'crashcart-controller')['rules'] as Rule[];
    expect(role.flatMap((rule) => rule.resourceNames ?? [])).toEqual([
      names.leaseName,
      names.caSecret,
      names.servingSecret,
      names.caConfigMap,
    ]);
  });

  test('in the definition are those of src/api', () => {
    const { spec } = one('CustomResourceDefinition', `${names.plural}.${names.group}`);
    expect(spec.names).toMatchObject({ kind: names.kind, plural: names.plural, shortNames: [names.shortName] });
    const { spec: session, status } = spec.versions[0].schema.openAPIV3Schema.properties;
    expect(Object.keys(JSON.parse(one('ConfigMap', 'crashcart-controller')['data']['profiles.json']))).toEqual(
      [...profiles].sort(),
    );
    expect(session.properties.visibility.enum).toEqual(visibilities);
    expect(session.properties.maxDuration.pattern).toBe(durationPattern);
    expect(status.properties.phase.enum).toEqual(phases);
  });

  test('in crds/ are the chart’s', async () => {
    for (const name of ['debugsession', 'debugprofile']) {
      const [shipped] = parseAllDocuments(await readFile(join(root, `crds/${name}.yaml`), 'utf8'));
      expect(one('CustomResourceDefinition', `${name}s.crashcart.dev`)['spec']).toEqual(shipped?.toJS().spec);
    }
  });
});

describe('the rights', () => {
  test('hold no wildcard, no escalation, no impersonation and no exec for anything of ours that runs', () => {
    const roles = manifests.filter(
      ({ kind, metadata }) => /^(Cluster)?Role$/.test(kind) && /-(controller|uninstall)$/.test(metadata.name),
    );
    expect(roles).toHaveLength(4);
    for (const rule of roles.flatMap((role) => role['rules'] as Rule[])) {
      expect([...rule.apiGroups, ...rule.resources, ...rule.verbs]).not.toContain('*');
      expect(rule.verbs).not.toEqual(expect.arrayContaining([expect.stringMatching(/escalate|bind|impersonate/)]));
      expect(rule.resources).not.toContain('pods/exec');
      if (rule.resources.includes('apiservices')) expect(rule.verbs).not.toContain('create');
      if (rule.resources.includes('secrets') && !rule.verbs.includes('create'))
        expect(rule.resourceNames).toBeDefined();
    }
  });

  test('go to nobody by default: the roles for people are bound and aggregated only on request', async () => {
    const people = /^crashcart-(user|admin|observer|view)$/;
    const labels = (all: Manifest[]): string[] =>
      all
        .filter(({ kind, metadata }) => kind === 'ClusterRole' && people.test(metadata.name))
        .flatMap(({ metadata }) => Object.keys(metadata.labels).filter((label) => label.includes('aggregate')));
    expect(labels(manifests)).toEqual([]);
    expect(labels(await rendered('rbac.aggregate=true'))).toHaveLength(4);
    const bound = manifests.filter(({ kind, metadata, roleRef }) => {
      const isHook = metadata.annotations?.['helm.sh/hook'] !== undefined;
      return /Binding$/.test(kind) && !isHook && people.test(roleRef?.name ?? '');
    });
    expect(bound).toEqual([]);
  });

  test('have their reason beside each rule', async () => {
    for (const file of ['controller-rbac.yaml', 'user-roles.yaml', 'uninstall.yaml', 'tests/session.yaml']) {
      const lines = (await readFile(join(root, 'charts/crashcart/templates', file), 'utf8')).split('\n');
      const rules = lines.flatMap((line, at) => (line.startsWith('  - apiGroups') ? [at] : []));
      expect(rules.length, file).toBeGreaterThan(0);
      const bare = rules.filter((at) => !lines[at - 1]?.startsWith('  # ')).map((at) => `${file}:${at + 1}`);
      expect(bare).toEqual([]);
    }
  });
});

describe('the pods', () => {
  test('of the controller satisfy the Pod Security level restricted', () => {
    const pod = one('Deployment', 'crashcart-controller')['spec'].template.spec;
    expect(pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 65_532,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(pod.containers[0].securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(pod.hostPID ?? pod.hostNetwork ?? pod.hostIPC).toBeUndefined();
    expect(pod['volumes']).toEqual([{ name: 'files', configMap: { name: 'crashcart-controller' } }]);
  });

  test('of the agent have no token for the API server, no host network, no port of the host and a list of capabilities', () => {
    const pod = one('DaemonSet', 'crashcart-agent')['spec'].template.spec;
    expect(pod).toMatchObject({ automountServiceAccountToken: false, hostPID: true });
    expect(pod.hostNetwork ?? pod.hostIPC).toBeUndefined();
    expect(JSON.stringify(pod)).not.toMatch(/hostPort|"privileged":true/);
    expect(pod.containers[0].securityContext.capabilities.drop).toEqual(['ALL']);
    expect(
      pod.volumes.filter((volume: Manifest) => volume['hostPath']).map((volume: Manifest) => volume['hostPath'].path),
    ).toEqual(['/run/containerd', '/sys/fs/cgroup', '/var/lib/crashcart/recordings', '/run/crashcart-agent']);
  });

  test('of the agent get one init container for each toolbox', async () => {
    const all = await rendered('toolboxes.net.image=localhost/net:2');
    const agent = all.find(({ kind }) => kind === 'DaemonSet')?.['spec'].template.spec;
    expect(agent.initContainers.map((each: Manifest) => [each['name'], each['image'], each['command'][1]])).toEqual([
      ['toolbox-default', 'localhost/toolbox:1', '/toolboxes/default.erofs'],
      ['toolbox-net', 'localhost/net:2', '/toolboxes/net.erofs'],
    ]);
  });
});

test('a policy that needs parameters never refuses for want of them; every other one fails closed', async () => {
  const policies = (await rendered('attach.mode=Ticket')).filter(({ kind }) => kind === 'ValidatingAdmissionPolicy');
  const specs = policies.map((each) => each['spec'] as { failurePolicy: string; paramKind?: object });
  expect(specs.map(({ failurePolicy }) => failurePolicy)).toEqual(
    specs.map(({ paramKind }) => (paramKind ? 'Ignore' : 'Fail')),
  );
  expect(specs.filter(({ paramKind }) => paramKind)).toHaveLength(2);
});

describe('attach.mode Ticket', () => {
  test('has a front door in the place of APIService and breaker, and no right to APIServices', async () => {
    const all = await rendered('attach.mode=Ticket');
    const named = (kind: string): string[] =>
      all.filter((each) => each['kind'] === kind).map(({ metadata }) => metadata.name);
    expect(named('APIService')).toEqual([]);
    expect(named('Deployment')).toEqual(['crashcart-controller']);
    expect(named('CustomResourceDefinition')).toContain(`${names.attachmentPlural}.${names.group}`);
    expect(named('ValidatingAdmissionPolicy')).toContain(`${names.attachmentPlural}.${names.group}`);
    const door = all.find(({ kind, metadata }) => kind === 'Role' && metadata.name === 'crashcart-front-door');
    expect(door?.['rules']).toMatchObject([
      { resources: ['services/proxy'], resourceNames: [names.frontDoorService], verbs: ['get'] },
      { resources: ['configmaps'], resourceNames: [names.caConfigMap], verbs: ['get'] },
    ]);
    const controller = all.find(
      ({ kind, metadata }) => kind === 'ClusterRole' && metadata.name === 'crashcart-controller',
    );
    expect(JSON.stringify(controller)).not.toContain('apiservices');
    const [shipped] = parseAllDocuments(await readFile(join(root, 'crds/debugattachment.yaml'), 'utf8'));
    const made = all.find(({ metadata }) => metadata.name === `${names.attachmentPlural}.${names.group}`);
    expect(made?.['spec']).toEqual(shipped?.toJS().spec);
  });

  test('is a word of a list', async () => {
    expect((await template(...images, 'attach.mode=Tickets')).stderr).toMatch(/mode/);
  });
});

describe('the aggregated API', () => {
  test('has no authority in the template, so that an upgrade keeps the one that the controller wrote', () => {
    const { spec } = one('APIService', names.apiServiceName);
    expect(spec.caBundle).toBeUndefined();
    expect(spec.insecureSkipTLSVerify).toBeUndefined();
  });

  test('takes the certificate of cert-manager when told so, under the names that its peers expect', async () => {
    const all = await rendered('certificates.certManager.enabled=true');
    const named = (kind: string, name: string): Manifest | undefined =>
      all.find((each) => each['kind'] === kind && each['metadata'].name === name);
    expect(named('Certificate', names.servingSecret)?.['spec']).toMatchObject({
      secretName: names.servingSecret,
      dnsNames: [`${names.gatewayService}.somewhere.svc`, `${names.tunnelService}.somewhere.svc`],
      issuerRef: { kind: 'Issuer', name: 'crashcart-authority' },
    });
    expect(named('Issuer', 'crashcart-authority')?.['spec'].ca.secretName).toBe('crashcart-authority');
    expect(named('APIService', names.apiServiceName)?.['metadata'].annotations).toMatchObject({
      'cert-manager.io/inject-ca-from': `somewhere/${names.servingSecret}`,
    });
    const args = JSON.stringify(named('Deployment', 'crashcart-controller')?.['spec'].template.spec.containers[0].args);
    expect(args).toContain('--foreign-certificates');
    expect(args).not.toContain('--certificate-lifetime');
    const given = await rendered(
      'certificates.certManager.enabled=true',
      'certificates.certManager.issuerRef.name=ours',
    );
    expect(given.filter((each) => each['kind'] === 'Issuer')).toEqual([]);
    expect(manifests.filter((each) => /cert-manager/.test(each['apiVersion']))).toEqual([]);
  });

  test('never loses its last backend to an upgrade or a drain', () => {
    expect(one('Deployment', 'crashcart-controller')['spec']).toMatchObject({
      replicas: 2,
      strategy: { rollingUpdate: { maxUnavailable: 0 } },
    });
    expect(one('PodDisruptionBudget', 'crashcart-controller')['spec'].minAvailable).toBe(1);
  });
});

test.each([
  ['an image that is not named', [], /image\.repository is not set: push build\/images\/crashcart\.tar/],
  ['a misspelt value', [...images, 'controler.replicas=3'], /additional properties 'controler' not allowed/],
  ['no replica', [...images, 'controller.replicas=0'], /\/controller\/replicas/],
  ['a log level that does not exist', [...images, 'logLevel=loud'], /\/logLevel/],
  ['a capability with its prefix', [...images, 'agent.capabilities={SYS_ADMIN,CAP_KILL}'], /\/agent\/capabilities\/1/],
])('helm refuses %s', async (_, values, message) => {
  const { code, stderr } = await template(...values);
  expect(stderr).toMatch(message);
  expect(code).not.toBe(0);
});

describe('recordings', () => {
  const controllerOf = (all: readonly Manifest[]): Manifest =>
    all.find((each) => each['kind'] === 'Deployment' && each['metadata'].name === 'crashcart-controller')!['spec']
      .template.spec;
  const s3 = [
    'recordings.store=s3',
    'recordings.s3.endpoint=https://s3.example.com',
    'recordings.s3.bucket=audit',
    'recordings.s3.secretName=audit-writer',
  ];

  test('a bucket’s credential is mounted into the controller, and into nothing else', async () => {
    const all = await rendered(...s3);
    const pod = controllerOf(all);
    expect(pod['containers'][0].args).toContain('--recordings-s3-bucket=audit');
    expect(pod['volumes']).toContainEqual({
      name: 's3',
      secret: expect.objectContaining({ secretName: 'audit-writer' }),
    });
    const agent = all.find((each) => each['kind'] === 'DaemonSet')!;
    expect(JSON.stringify(agent)).not.toContain('audit-writer');
  });

  test('what a store lacks is said in words', async () => {
    expect((await template(...images, ...s3.slice(0, 3))).stderr).toContain('recordings.s3.secretName is not set');
    expect((await template(...images, 'recordings.store=directory')).stderr).toContain(
      'recordings.directory.claimName',
    );
    expect((await template(...images, 'recordings.store=ftp')).code).not.toBe(0);
  });

  test('switched off: no directory on the nodes', async () => {
    const agent = (await rendered('recordings.enabled=false')).find((each) => each['kind'] === 'DaemonSet')!;
    expect(JSON.stringify(agent)).not.toContain('recording');
  });

  test('the right to see recordings is in one role only', () => {
    const roles = manifests.filter((each) => JSON.stringify(each['rules'] ?? []).includes('debugsessions/recording'));
    expect(roles.map((each) => each['metadata'].name)).toEqual(['crashcart-auditor']);
  });
});
