import { performance } from 'node:perf_hooks';
import type { DebugSession } from '../api/debug-session.ts';
import { attachSubresource, group, plural, subresourceGroup, version } from '../api/names.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import type { ResourceAttributes, Reviews, UserInfo, Verdict } from './kubernetes.ts';
import type { GatewayMetrics } from './metrics.ts';

export interface AuthorizeDependencies {
  readonly reviews: Pick<Reviews, 'authorize'>;
  readonly metrics: Pick<GatewayMetrics, 'reviewed'>;
}

/** kube-apiserver lets a WebSocket handshake pass with `get`: read-only roles have it. Only `create` opens a shell. */
export const attachAttributes = (namespace: string, name: string): ResourceAttributes => ({
  verb: 'create',
  group: subresourceGroup,
  version,
  resource: plural,
  subresource: attachSubresource,
  namespace,
  name,
});

/** Who may not exec into the pod gets no shell in it by way of a session either, even one that others started. */
export const execAttributes = (session: DebugSession): ResourceAttributes => ({
  verb: 'create',
  group: '',
  resource: 'pods',
  subresource: 'exec',
  namespace: session.metadata.namespace,
  name: session.spec.target.pod.name,
});

/** A shell with sysadmin's powers is not for whoever may only use general, even when an administrator has started it. */
export const profileAttributes = ({ metadata, spec }: DebugSession): ResourceAttributes => ({
  verb: 'use',
  group,
  resource: 'debugprofiles',
  namespace: metadata.namespace,
  name: spec.profile,
});

/** All that a client of this very session needs, whoever created it. */
export const sessionAttributes = (session: DebugSession): readonly ResourceAttributes[] => [
  execAttributes(session),
  profileAttributes(session),
];

/**
 * Asks the API server.
 * @throws CrashcartError Forbidden, naming the right and how it is granted; Unavailable when nobody could be asked: an
 * error never allows.
 */
export async function requireRight(
  user: UserInfo,
  attributes: ResourceAttributes,
  { reviews, metrics }: AuthorizeDependencies,
): Promise<void> {
  const startedAt = performance.now();
  const seconds = (): number => (performance.now() - startedAt) / 1_000;
  let verdict: Verdict;
  try {
    verdict = await reviews.authorize(user, attributes);
  } catch (cause) {
    metrics.reviewed('error', seconds());
    throw new CrashcartError(
      reasons.Unavailable,
      `could not ask the API server whether ${user.name} may ${phrase(attributes)}: try again in a moment`,
      { cause },
    );
  }
  // Compared with true on purpose: an answer of another shape is not a yes.
  const allowed = verdict.allowed === true;
  metrics.reviewed(allowed ? 'allowed' : 'denied', seconds());
  if (!allowed) throw new CrashcartError(reasons.Forbidden, denial(user, attributes, verdict.reason));
}

/** `pods/exec`, `debugsessions.subresources.crashcart.dev/attach`: as kubectl's --resource takes it. */
const resourceOf = ({ resource, group, subresource }: ResourceAttributes): string =>
  `${resource}${group === '' ? '' : `.${group}`}${subresource === undefined ? '' : `/${subresource}`}`;

const phrase = (attributes: ResourceAttributes): string =>
  `${attributes.verb} ${resourceOf(attributes)} on ${attributes.name} in namespace ${attributes.namespace}`;

function denial(user: UserInfo, attributes: ResourceAttributes, said: string | undefined): string {
  const { verb, namespace, subresource } = attributes;
  const bind = `kubectl create rolebinding crashcart-${subresource ?? 'profiles'} -n ${namespace} --user=${quoted(user.name)}`;
  // kubectl makes no role for a resource that the API server does not serve: profiles come with the roles of the chart.
  const grant =
    subresource === undefined
      ? `${bind} --clusterrole=${isEveryones(attributes.name) ? 'crashcart-user' : 'crashcart-admin'}`
      : `kubectl create role crashcart-${subresource} -n ${namespace} --verb=${verb} --resource=${resourceOf(attributes)} && ${bind} --role=crashcart-${subresource}`;
  return `${user.name} may not ${phrase(attributes)}${said ? ` (${said})` : ''}; an administrator grants it with: ${grant}`;
}

const isEveryones = (profile: string): boolean => ['general', 'baseline', 'restricted'].includes(profile);

/** For a POSIX shell: the administrator will paste it. */
const quoted = (text: string): string => (/^[\w@.:/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
