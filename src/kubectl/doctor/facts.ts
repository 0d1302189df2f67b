import type { Ticketholder } from '../../api/debug-attachment.ts';
import {
  apiServiceName,
  apiVersion,
  attachmentPlural,
  caConfigMap,
  frontDoorService,
  subresourceApiVersion,
} from '../../api/names.ts';
import { CrashcartError } from '../../base/errors.ts';
import type { ApiClient } from '../api-client.ts';
import { ApiRefusal } from '../api-refusal.ts';
import { installationNamespace } from '../front-door.ts';
import { whoAmI } from '../whoami.ts';
import type {
  ApiService,
  ConfigMap,
  DaemonSet,
  Deployment,
  List,
  Node,
  Pod,
  Policy,
  ResourceList,
  RightReview,
} from './objects.ts';

/** An answer, or why there is none. */
export type Fact<T> =
  | { readonly known: true; readonly value: T }
  /** 403: who asks may not read it, which is no fault of the cluster. */
  | { readonly known: false; readonly why: 'forbidden' | 'absent' | 'failed'; readonly message: string };

export interface Right {
  readonly verb: string;
  readonly group: string;
  /** With its subresource, as in a Role. */
  readonly resource: string;
  readonly name?: string;
}

/** What a shell of one's own takes, in the order in which it is asked for. */
export const rightsForAShell: readonly Right[] = [
  { verb: 'create', group: 'crashcart.dev', resource: 'debugsessions' },
  { verb: 'get', group: 'subresources.crashcart.dev', resource: 'debugsessions/attach' },
  { verb: 'create', group: 'subresources.crashcart.dev', resource: 'debugsessions/attach' },
  { verb: 'use', group: 'crashcart.dev', resource: 'debugprofiles', name: 'general' },
  { verb: 'create', group: '', resource: 'pods/exec' },
];

/** What it takes beside them where users come through the front door. */
const rightToATicket: Right = { verb: 'create', group: 'crashcart.dev', resource: attachmentPlural };

export interface Facts {
  readonly namespace: string;
  readonly installation: string;
  readonly whoami: Fact<Ticketholder>;
  readonly sessionsApi: Fact<ResourceList>;
  readonly rights: ReadonlyArray<{ readonly right: Right; readonly allowed: Fact<RightReview> }>;
  readonly apiService: Fact<ApiService>;
  readonly attachApi: Fact<unknown>;
  /** With attach.mode Ticket: what stands in the place of the APIService. */
  readonly frontDoor?: { readonly reached: Fact<unknown>; readonly authority: Fact<ConfigMap> };
  readonly controller: Fact<Deployment>;
  readonly agents: Fact<DaemonSet>;
  readonly agentPods: Fact<List<Pod>>;
  readonly nodes: Fact<List<Node>>;
  readonly policy: Fact<Policy>;
}

/** Everything is asked at once, and nothing that fails keeps the rest. The API server must have answered before. */
export async function gather(api: ApiClient): Promise<Facts> {
  const { namespace } = api.connection;
  const apiService = ask<ApiService>(api, `/apis/apiregistration.k8s.io/v1/apiservices/${apiServiceName}`);
  const [service, sessionsApi] = await Promise.all([apiService, ask<ResourceList>(api, `/apis/${apiVersion}`)]);
  // Who may not read the APIService looks where the chart's own words put it.
  const installation = (service.known ? service.value.spec?.service?.namespace : undefined) ?? installationNamespace();
  const served = sessionsApi.known ? (sessionsApi.value.resources ?? []) : [];
  const ticket = served.some(({ name }) => name === attachmentPlural);
  const wanted = ticket ? [...rightsForAShell, rightToATicket] : rightsForAShell;
  const inside = `namespaces/${encodeURIComponent(installation)}`;
  const [whoami, frontDoor, rights, attachApi, controller, agents, agentPods, nodes, policy] = await Promise.all([
    factOf(whoAmI(api)),
    ticket ? askFrontDoor(api, inside) : undefined,
    Promise.all(wanted.map(async (right) => ({ right, allowed: await mayI(api, namespace, right) }))),
    ask<unknown>(api, `/apis/${subresourceApiVersion}`),
    ask<Deployment>(api, `/apis/apps/v1/${inside}/deployments/crashcart-controller`),
    ask<DaemonSet>(api, `/apis/apps/v1/${inside}/daemonsets/crashcart-agent`),
    ask<List<Pod>>(api, `/api/v1/${inside}/pods?labelSelector=app.kubernetes.io/component=agent&limit=5000`),
    ask<List<Node>>(api, '/api/v1/nodes?limit=5000'),
    ask<Policy>(
      api,
      '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/debugsessions.crashcart.dev',
    ),
  ]);
  return {
    namespace,
    installation,
    whoami,
    sessionsApi,
    rights,
    apiService: service,
    attachApi,
    ...(frontDoor ? { frontDoor } : {}),
    controller,
    agents,
    agentPods,
    nodes,
    policy,
  };
}

async function askFrontDoor(api: ApiClient, inside: string): Promise<Facts['frontDoor']> {
  const [reached, authority] = await Promise.all([
    // Any document that the gateway gives to everybody.
    ask<unknown>(api, `/api/v1/${inside}/services/${frontDoorService}/proxy/apis/${subresourceApiVersion}`),
    ask<ConfigMap>(api, `/api/v1/${inside}/configmaps/${caConfigMap}`),
  ]);
  return { reached, authority };
}

function mayI(api: ApiClient, namespace: string, { verb, group, resource, name }: Right): Promise<Fact<RightReview>> {
  const [plain, subresource] = resource.split('/');
  const attributes = { namespace, verb, group, resource: plain, ...(subresource ? { subresource } : {}) };
  return ask<RightReview>(api, '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { ...attributes, ...(name ? { name } : {}) } },
  });
}

/** With a body it is a POST. */
function ask<T>(api: ApiClient, path: string, body?: object): Promise<Fact<T>> {
  const [pathname = path, search = ''] = path.split('?', 2);
  const query = Object.fromEntries(new URLSearchParams(search));
  const answer = api.send({ path: pathname, query, ...(body ? { method: 'POST' as const, body } : {}) });
  return factOf(answer as Promise<T>);
}

async function factOf<T>(answer: Promise<T>): Promise<Fact<T>> {
  try {
    return { known: true, value: await answer };
  } catch (caught) {
    const code = caught instanceof ApiRefusal ? caught.code : 0;
    const why = code === 403 || code === 401 ? 'forbidden' : code === 404 ? 'absent' : 'failed';
    return { known: false, why, message: CrashcartError.from(caught).message };
  }
}
