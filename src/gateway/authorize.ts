import { performance } from 'node:perf_hooks';
import type { DebugSession } from '../api/debug-session.ts';
import {
  attachOthersSubresource,
  attachSubresource,
  group,
  observeSubresource,
  plural,
  subresourceGroup,
  version,
} from '../api/names.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import type { ResourceAttributes, Reviews, UserInfo, Verdict } from './kubernetes.ts';
import type { GatewayMetrics } from './metrics.ts';

export interface AuthorizeDependencies {
  readonly reviews: Pick<Reviews, 'authorize'>;
  readonly metrics: Pick<GatewayMetrics, 'reviewed'>;
}

/** To type, or only to read along. */
export type AttachMode = 'write' | 'observe';

const subresource = (verb: string, name: string, of: Named): ResourceAttributes => ({
  verb,
  group: subresourceGroup,
  version,
  resource: plural,
  subresource: name,
  namespace: of.namespace,
  name: of.name,
});

interface Named {
  readonly namespace: string;
  readonly name: string;
}

/** kube-apiserver lets a WebSocket handshake pass with `get`: read-only roles have it. Only `create` opens a shell. */
export const attachAttributes = (session: Named): ResourceAttributes =>
  subresource('create', attachSubresource, session);

/** Who joins the shell of another person takes over whatever that person has opened in it. */
export const attachOthersAttributes = (session: Named): ResourceAttributes =>
  subresource('create', attachOthersSubresource, session);

/** Reading along in the session of another person needs no key to the pod, but shows whatever is shown there. */
export const observeAttributes = (session: Named): ResourceAttributes =>
  subresource('get', observeSubresource, session);

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

/**
 * Whether `user` has asked for the session: by name, and by uid where both are known, so that a new account of an old name is
 * another person. A session that names nobody is nobody's.
 */
export function isOwn({ spec }: DebugSession, user: UserInfo): boolean {
  const { requestedBy } = spec;
  if (requestedBy?.username !== user.name) return false;
  return !requestedBy.uid || !user.uid || requestedBy.uid === user.uid;
}

/** All that a client of this very session needs. */
export function sessionRights(session: DebugSession, user: UserInfo, mode: AttachMode): readonly ResourceAttributes[] {
  const own = isOwn(session, user);
  if (mode === 'observe' && !own) return [observeAttributes(session.metadata)];
  const everybodys = [attachAttributes(session.metadata), execAttributes(session), profileAttributes(session)];
  return own ? everybodys : [...everybodys, attachOthersAttributes(session.metadata)];
}

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
  const others = subresource === attachOthersSubresource;
  const why = others ? `the session ${attributes.name} is another person’s, and ` : '';
  const bind = `kubectl create rolebinding crashcart-${subresource ?? 'profiles'} -n ${namespace} --user=${quoted(user.name)}`;
  // kubectl makes no role for a resource that the API server does not serve: profiles come with the roles of the chart.
  const grant =
    subresource === undefined
      ? `${bind} --clusterrole=${isEveryones(attributes.name) ? 'crashcart-user' : 'crashcart-admin'}`
      : `kubectl create role crashcart-${subresource} -n ${namespace} --verb=${verb} --resource=${resourceOf(attributes)} && ${bind} --role=crashcart-${subresource}`;
  return `${why}${user.name} may not ${phrase(attributes)}${said ? ` (${said})` : ''}; an administrator grants it with: ${grant}`;
}

const isEveryones = (profile: string): boolean => ['general', 'baseline', 'restricted'].includes(profile);

/** For a POSIX shell: the administrator will paste it. */
const quoted = (text: string): string => (/^[\w@.:/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
