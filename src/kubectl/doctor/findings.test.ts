import { beforeAll, expect, test } from 'vitest';
import { createTestCa } from '../../../test/support/pki.ts';
import type { Fact, Facts } from './facts.ts';
import { rightsForAShell } from './facts.ts';
import { findingsOf } from './findings.ts';
import type { Node, Pod } from './objects.ts';

const known = <T>(value: T): Fact<T> => ({ known: true, value });
const forbidden = { known: false, why: 'forbidden', message: 'no' } as const;
const absent = { known: false, why: 'absent', message: 'not there' } as const;
const failed = { known: false, why: 'failed', message: 'HTTP 503: error trying to reach service' } as const;

const node = (name: string, nodeInfo: object = {}): Node => ({
  metadata: { name },
  status: {
    conditions: [{ type: 'Ready', status: 'True' }],
    nodeInfo: { kernelVersion: '6.18.5', containerRuntimeVersion: 'containerd://2.4.2', ...nodeInfo },
  },
});
const agentOn = (
  nodeName: string,
  status: Pod['status'] = { conditions: [{ type: 'Ready', status: 'True' }] },
): Pod => ({
  metadata: { name: `crashcart-agent-${nodeName}` },
  spec: { nodeName },
  status,
});

const healthyToolbox = {
  template: { spec: { initContainers: [{ name: 'toolbox-default', image: 'registry/toolbox:1' }] } },
};

/** The authorities of tests live for a day. */
const longBefore = Date.now() - 60 * 86_400_000;

let healthy: Facts;
beforeAll(async () => {
  const ca = await createTestCa('serving');
  healthy = {
    namespace: 'shop',
    installation: 'crashcart-system',
    whoami: known({ username: 'jane', groups: ['devs'], extra: {} }),
    sessionsApi: known({}),
    rights: rightsForAShell.map((right) => ({ right, allowed: known({ status: { allowed: true } }) })),
    apiService: known({
      spec: { caBundle: Buffer.from(ca.cert).toString('base64'), service: { namespace: 'crashcart-system' } },
      status: { conditions: [{ type: 'Available', status: 'True' }] },
    }),
    attachApi: known({}),
    controller: known({ spec: { replicas: 2 }, status: { readyReplicas: 2 } }),
    agents: known({
      spec: { template: { spec: { initContainers: [{ name: 'toolbox-default', image: 'registry/toolbox:1' }] } } },
      status: { desiredNumberScheduled: 1, numberReady: 1 },
    }),
    agentPods: known({ items: [agentOn('worker-1')] }),
    nodes: known({ items: [node('worker-1')] }),
    policy: known({ spec: { validationActions: ['Deny'] } }),
  };
});

const judge = (over: Partial<Facts> = {}) => findingsOf({ ...healthy, ...over }, longBefore);
const notOk = (over: Partial<Facts>) => judge(over).filter(({ state }) => state !== 'ok');

test('a healthy cluster is green from top to bottom, and every line says what was seen', () => {
  const findings = judge();
  expect(findings.filter(({ state }) => state !== 'ok')).toEqual([]);
  expect(findings.map(({ says }) => says).join('\n')).toMatch(
    /jane.*valid until.*registry\/toolbox:1.*Linux 6\.18\.5/s,
  );
});

test('through the front door: reached or not, and by whose authority', async () => {
  const ca = await createTestCa('serving');
  const authority = known({ data: { 'ca.crt': ca.cert } });
  const without = { apiService: absent, attachApi: absent };
  expect(notOk({ ...without, frontDoor: { reached: known({}), authority } })).toEqual([]);
  const barred = notOk({ ...without, frontDoor: { reached: forbidden, authority } });
  expect(barred).toMatchObject([{ state: 'fault', next: expect.stringContaining('attach.ticket.subjects') }]);
  const down = notOk({ ...without, frontDoor: { reached: failed, authority: known({ data: {} }) } });
  expect(down.map(({ check, state }) => `${check} ${state}`)).toEqual(['front door fault', 'certificates fault']);
});

test('who may read nothing gets no fault for it, and the rights and the way to a shell are still judged', () => {
  const blind = {
    apiService: forbidden,
    controller: forbidden,
    agents: forbidden,
    agentPods: forbidden,
    nodes: forbidden,
    policy: forbidden,
  };
  const findings = judge(blind);
  expect(findings.filter(({ state }) => state === 'fault')).toEqual([]);
  expect(findings.filter(({ state }) => state === 'unknown').length).toBeGreaterThan(4);
  expect(findings.filter(({ check, state }) => check === 'right' && state === 'ok')).toHaveLength(
    rightsForAShell.length,
  );
});

test('a cluster without Crashcart: how one installs it, and nothing else', () => {
  expect(notOk({ sessionsApi: absent })).toEqual([
    expect.objectContaining({ state: 'fault', next: expect.stringContaining('helm install crashcart') }),
  ]);
});

test('a missing right comes with the command that grants it, and exec is not to be had by our roles', () => {
  const rights = healthy.rights.map(({ right }) => ({ right, allowed: known({ status: { allowed: false } }) }));
  const faults = notOk({ rights });
  expect(faults).toHaveLength(rightsForAShell.length);
  for (const { next } of faults) expect(next).toMatch(/--clusterrole=crashcart-user --user="jane"|create pods\/exec/);
});

test('an unreachable gateway: why, and that the deletion of namespaces hangs on it', () => {
  const apiService = known({
    ...(healthy.apiService.known ? healthy.apiService.value : {}),
    status: { conditions: [{ type: 'Available', status: 'False', reason: 'MissingEndpoints', message: 'no pods' }] },
  });
  const [fault] = notOk({ attachApi: failed, apiService });
  expect(fault).toMatchObject({
    check: 'attach API',
    state: 'fault',
    says: expect.stringContaining('MissingEndpoints'),
  });
  expect(fault?.next).toContain('kubectl delete apiservice');
});

test.each<[string, Partial<Facts>, string, RegExp]>([
  ['the APIService is gone', { attachApi: absent, apiService: absent }, 'fault', /helm upgrade/],
  ['the policy is gone', { policy: absent }, 'fault', /helm upgrade/],
  ['the policy only warns', { policy: known({ spec: { validationActions: ['Warn'] } }) }, 'fault', /helm upgrade/],
  ['no controller runs', { controller: known({ spec: { replicas: 2 } }) }, 'fault', /describe pods/],
  [
    'one replica is missing',
    { controller: known({ spec: { replicas: 2 }, status: { readyReplicas: 1 } }) },
    'warning',
    /describe/,
  ],
  ['no node may run an agent', { agents: known({ spec: healthyToolbox, status: {} }) }, 'fault', /nodeSelector/],
  [
    'the agents have no toolbox',
    { agents: known({ status: { desiredNumberScheduled: 1, numberReady: 1 } }) },
    'fault',
    /toolboxes\.default\.image/,
  ],
  [
    'an old kernel',
    { nodes: known({ items: [node('worker-1', { kernelVersion: '5.10.0-22-amd64' })] }) },
    'fault',
    /update/,
  ],
  [
    'another runtime',
    { nodes: known({ items: [node('worker-1', { containerRuntimeVersion: 'cri-o://1.37' })] }) },
    'warning',
    /install/,
  ],
  ['a node without an agent', { agentPods: known({ items: [] }) }, 'warning', /tolerations/],
  [
    'an agent whose image cannot be pulled',
    {
      agentPods: known({
        items: [
          agentOn('worker-1', {
            initContainerStatuses: [{ name: 'toolbox-default', state: { waiting: { reason: 'ImagePullBackOff' } } }],
          }),
        ],
      }),
    },
    'fault',
    /logs crashcart-agent-worker-1/,
  ],
])('%s', (_, over, state, next) => {
  const findings = notOk(over);
  expect(findings[0]).toMatchObject({ state, next: expect.stringMatching(next) });
});

test('an authority that is over, soon over or no certificate at all', () => {
  const at = (now: number, over: Partial<Facts> = {}) =>
    findingsOf({ ...healthy, ...over }, now).find(({ check }) => check === 'certificates');
  const far = Date.now() + 400 * 86_400_000 * 30;
  expect(at(far)?.state).toBe('fault');
  expect(at(0)?.state).toBe('ok');
  expect(at(0, { apiService: known({ spec: { caBundle: 'bm8=' } }) })?.says).toMatch(/no certificate/);
  expect(at(0, { apiService: known({}) })?.says).toMatch(/not published/);
});
