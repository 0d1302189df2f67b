/** Every name that more than one process, the chart or a user relies on. The chart's templates repeat some: test/e2e compares them. */
export const group = 'crashcart.dev';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;
export const kind = 'DebugSession';
export const plural = 'debugsessions';
export const shortName = 'dbg';
export const profileKind = 'DebugProfile';
export const profilePlural = 'debugprofiles';
/** Where no APIService may be: what a user creates to be known to the gateway (attach.mode: Ticket). */
export const attachmentKind = 'DebugAttachment';
export const attachmentPlural = 'debugattachments';

/** Served by the gateway through the aggregation layer; another group than the CRD's, because APIServices are per group. */
export const subresourceGroup = 'subresources.crashcart.dev';
export const subresourceApiVersion = `${subresourceGroup}/${version}`;
/** The name `attach` is on kube-apiserver's list of long-running requests: no 60 s timeout cuts it (decision D3). */
export const attachSubresource = 'attach';
/** Rights, not resources: nothing is served at these names. To type into another person's session; to read along in it. */
export const attachOthersSubresource = 'attachothers';
export const observeSubresource = 'observe';
/** `get` of it is the right to see what a recorded session has shown. */
export const recordingSubresource = 'recording';

export const finalizer = 'crashcart.dev/session';
/**
 * On a session: under which id its creation stands in the API server's audit log. The client chooses that id (header `Audit-ID`), so it is the
 * creator's word; whoever follows it finds the creation of this very session there, or sees that it was no true one.
 */
export const auditIdAnnotation = 'crashcart.dev/audit-id';
export const fieldManager = 'crashcart-controller';
export const eventComponent = 'crashcart-controller';

/** Audience of the agents' projected token. The API server refuses a token with this audience. */
export const tokenAudience = 'crashcart.dev';

/** Names inside the installation's namespace. */
export const defaultNamespace = 'crashcart-system';
export const agentServiceAccount = 'crashcart-agent';
export const controllerServiceAccount = 'crashcart-controller';
export const gatewayService = 'crashcart';
export const tunnelService = 'crashcart-tunnel';
export const leaseName = 'crashcart-controller';
export const caSecret = 'crashcart-ca';
export const servingSecret = 'crashcart-serving';
export const caConfigMap = 'crashcart-ca';
export const caConfigMapKey = 'ca.crt';
export const breakerConfigMap = 'crashcart-breaker';
export const apiServiceName = `${version}.${subresourceGroup}`;

/** Where the toolbox stands inside a container: the original's place. */
export const toolboxMount = '/dev/crashcart';
export const defaultShell = [
  `${toolboxMount}/profile/bin/bash`,
  '--rcfile',
  `${toolboxMount}/.crashcartrc`,
  '-i',
] as const;

/** Stands in the refusal of a session that does not say who asks for it: the plugin then says it. */
export const requesterMissing = 'spec.requestedBy is missing';
/** The same of a session that is extended. */
export const extenderMissing = 'spec.extendedBy does not name who extends';

const subresourcePath = (namespace: string, name: string, subresource: string): string =>
  `/apis/${subresourceApiVersion}/namespaces/${encodeURIComponent(namespace)}/${plural}/${encodeURIComponent(name)}/${subresource}`;

export const attachPath = (namespace: string, name: string): string =>
  subresourcePath(namespace, name, attachSubresource);
export const recordingPath = (namespace: string, name: string): string =>
  subresourcePath(namespace, name, recordingSubresource);

/** Where the gateway lets in who came through a Service's proxy: a byte stream, in which TLS to the gateway itself begins anew. */
export const frontDoorPath = '/front-door';
/** As `services/proxy` names it, and so a Role: scheme, Service and port. */
export const frontDoorService = `https:${gatewayService}:443`;
