import { createSign } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { noMetrics } from '../../src/gateway/metrics.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { loadConnection } from '../../src/kube/config.ts';
import { createReviews } from '../../src/kube/reviews.ts';
import { must } from '../support/dry-run.ts';
import { cluster, getJson } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { debugSession, type Loopback, refusalOf, startLoopback } from '../support/gateway-loopback.ts';
import { SessionsDouble } from '../support/session-double.ts';
import { Person } from './authority/people.ts';

// What a stolen agent's identity is good for: our own listener, asking the real API server about real tokens.
const system = 'crashcart-system';
const audience = 'crashcart.dev';

let client: KubeClient;
let loopback: Loopback;
/** Pod of the agent, by node. */
const agents = new Map<string, { readonly name: string; readonly uid: string }>();
let refused: string[] = [];

interface Pods {
  readonly items: { readonly metadata: { name: string; uid: string }; readonly spec: { nodeName: string } }[];
}

beforeAll(async () => {
  client = createKubeClient(loadConnection({ kubeconfig: cluster().kubeconfig }));
  const pods = await getJson<Pods>(['get', 'pods', '-n', system, '-l', 'app.kubernetes.io/component=agent']);
  for (const { metadata, spec } of pods.items) agents.set(spec.nodeName, metadata);
  expect(agents.size).toBe(2);
});
afterAll(() => client.close());
afterEach(async () => {
  refused = [];
  await loopback?.stop();
  loopback = undefined as never;
});

const start = async (): Promise<void> => {
  const metrics = { ...noMetrics, tunnelRefused: (reason: string) => refused.push(reason) };
  loopback = await startLoopback({ agent: false, tunnel: { reviews: createReviews(client), metrics } });
};

interface TokenWish {
  readonly account?: string;
  readonly audiences?: readonly string[];
  readonly pod?: { readonly name: string; readonly uid: string } | undefined;
}

async function token({ account = 'crashcart-agent', audiences = [audience], pod }: TokenWish): Promise<string> {
  const boundObjectRef = pod ? { kind: 'Pod', apiVersion: 'v1', name: pod.name, uid: pod.uid } : undefined;
  const answer = (await client.request({
    method: 'POST',
    path: `/api/v1/namespaces/${system}/serviceaccounts/${account}/token`,
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences, expirationSeconds: 600, ...(boundObjectRef ? { boundObjectRef } : {}) },
    },
  })) as { status: { token: string } };
  return answer.status.token;
}

type Claims = Record<string, unknown> & { 'kubernetes.io': { node: { name: string } } };
const part = (text: string | undefined): Claims =>
  JSON.parse(Buffer.from(text ?? '', 'base64url').toString()) as Claims;
const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** The same token with other claims, signed by the cluster's own key: what the API server once issued, long ago. */
async function resigned(of: string, change: object): Promise<string> {
  const [head, claims] = of.split('.');
  const signed = `${head}.${encoded({ ...part(claims), ...change })}`;
  const key = await readFile(await signingKey(), 'utf8');
  const signature = createSign('SHA256').update(signed).sign({ key, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}

const signingKey = async (): Promise<string> => join(dirname(cluster().kubeconfig), 'pki', 'service-account.key');

const [nodeA, nodeB] = ((): readonly [() => string, () => string] => {
  const at = (index: number) => (): string => [...agents.keys()].toSorted()[index] ?? '';
  return [at(0), at(1)];
})();

async function connects(with_: string, as = 'dialled'): Promise<void> {
  await loopback.startAgent(as, new SessionsDouble(), 'instance-1', with_);
}

describe('the token of an agent', () => {
  test('speaks for the node of its pod, and for no other', async () => {
    await start();
    await connects(await token({ pod: agents.get(nodeA()) }));
    await eventually(() => expect(loopback.registry.nodes()).toEqual([nodeA()]));
    expect(loopback.registry.get(nodeB())).toBeUndefined();
  });

  test('of one node opens no session of another, whatever its holder says it has', async () => {
    await start();
    const stolen = new SessionsDouble();
    const theirs = debugSession('s', { phase: 'Running', nodeName: nodeB() });
    const { uid, namespace, name } = theirs.metadata;
    stolen.sessions.set(uid, { uid, namespace, name, phase: 'Running', attached: 0, cleanedUp: false });
    loopback.cache.set(theirs);
    await loopback.startAgent('thief', stolen, 'instance-1', await token({ pod: agents.get(nodeA()) }));
    await eventually(() => expect(loopback.registry.get(nodeA())?.sessions()?.has(uid)).toBe(true));
    expect(await refusalOf(loopback.connect('s'))).toMatchObject({ body: { reason: 'NoAgent' } });
    expect(stolen.attachments).toEqual([]);
  });

  const refusedTokens: [string, () => Promise<string>][] = [
    [
      'for the API server’s own audience',
      () => token({ pod: agents.get(nodeA()), audiences: ['https://kubernetes.default.svc.cluster.local'] }),
    ],
    ['for somebody else’s audience', () => token({ pod: agents.get(nodeA()), audiences: ['vault'] })],
    ['that is bound to no pod, and so to no node', () => token({})],
    ['of the controller’s account', async () => token({ account: 'crashcart-controller', pod: await controllerPod() })],
    [
      'that has expired',
      async () =>
        resigned(await token({ pod: agents.get(nodeA()) }), { iat: past(7_200), nbf: past(7_200), exp: past(3_600) }),
    ],
    ['whose node was changed', async () => tampered(await token({ pod: agents.get(nodeA()) }))],
    ['of a pod that is gone', tokenOfGonePod],
    ['that is none', async () => 'not.a.token'],
  ];
  test.each(refusedTokens)('%s is refused', async (_, make) => {
    await start();
    await connects(await make());
    await eventually(() => expect(refused).toContain('Unauthorized'));
    expect(loopback.registry.nodes()).toEqual([]);
  });

  test('that was signed anew with its own claims is taken: the refusals above are about what was changed', async () => {
    await start();
    await connects(await resigned(await token({ pod: agents.get(nodeA()) }), {}));
    await eventually(() => expect(loopback.registry.nodes()).toEqual([nodeA()]));
  });

  test('is nothing at the API server itself', async () => {
    const thief = new Person({ token: await token({ pod: agents.get(nodeA()) }) });
    expect(await thief.try({ method: 'GET', path: '/api/v1/namespaces/default/pods' })).toMatchObject({ code: 401 });
    thief.close();
  });
});

const past = (seconds: number): number => Math.floor(Date.now() / 1_000) - seconds;

function tampered(of: string): string {
  const [head, claims, signature] = of.split('.');
  const changed = part(claims);
  changed['kubernetes.io'].node.name = nodeB();
  return `${head}.${encoded(changed)}.${signature}`;
}

async function controllerPod(): Promise<{ name: string; uid: string }> {
  const pods = await getJson<Pods>(['get', 'pods', '-n', system, '-l', 'app.kubernetes.io/component=controller']);
  return pods.items[0]!.metadata;
}

async function tokenOfGonePod(): Promise<string> {
  const spec = { serviceAccountName: 'crashcart-agent', nodeName: nodeA(), terminationGracePeriodSeconds: 0 };
  const overrides = JSON.stringify({ spec });
  const image = ['--image=localhost/busybox:1', '--image-pull-policy=IfNotPresent'];
  await must('run', 'gone', '-n', system, ...image, '--overrides', overrides, '--command', '--', 'sleep', '600');
  const { metadata } = await getJson<{ metadata: { name: string; uid: string } }>(['get', 'pod', 'gone', '-n', system]);
  const made = await token({ pod: metadata });
  await must('delete', 'pod', 'gone', '-n', system, '--grace-period=0', '--force');
  await must('wait', '--for=delete', 'pod/gone', '-n', system, '--timeout=30s');
  return made;
}
