import { performance } from 'node:perf_hooks';
import type { DebugSession, DebugSessionSpec } from '../api/debug-session.ts';
import { apiVersion, auditIdAnnotation, extenderMissing, plural, requesterMissing } from '../api/names.ts';
import { Backoff } from '../base/backoff.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import type { ApiClient } from './api-client.ts';
import { ApiRefusal, explain, isCode } from './api-refusal.ts';
import type { NewSession } from './new-session.ts';
import { whoAmI } from './whoami.ts';

const pageSize = 500;
const mostPages = 40;

const path = (namespace: string | undefined, name?: string): string => {
  const parts = [
    ...(namespace === undefined ? [] : ['namespaces', namespace]),
    plural,
    ...(name === undefined ? [] : [name]),
  ];
  return `/apis/${apiVersion}/${parts.map(encodeURIComponent).join('/')}`;
};

export interface CreateOptions {
  /** The request is on its way. Called again for each further one. */
  readonly onSent: () => void;
  /** The API server is there and says "not now": it is asked again. */
  readonly onNotYet: () => void;
  /** Aborted, it is not asked again; what is under way is waited for. */
  readonly signal: AbortSignal;
}

/**
 * Who asks is left to the API server to fill in; one that cannot (before Kubernetes 1.36) refuses, and is then told what it says of us itself: newer
 * ones are spared the question.
 */
export async function createSession(
  api: ApiClient,
  session: NewSession,
  options: CreateOptions,
): Promise<DebugSession> {
  const { namespace } = session.metadata;
  try {
    return await postPatiently(api, session, options).catch(async (caught) => {
      if (!(caught instanceof ApiRefusal && caught.message.includes(requesterMissing))) throw caught;
      const { username, uid, groups } = await whoAmI(api);
      const requestedBy = { username, ...(uid ? { uid } : {}), groups };
      return await postPatiently(api, { ...session, spec: { ...session.spec, requestedBy } }, options);
    });
  } catch (caught) {
    throw explain(caught, { verb: 'create', resource: plural, namespace });
  }
}

/** An API server that has just started says it is ready, and for seconds more that it does not know what a DebugSession is. */
const patienceMs = 15_000;

async function postPatiently(api: ApiClient, session: NewSession, options: CreateOptions): Promise<DebugSession> {
  const { onSent, onNotYet, signal } = options;
  const backoff = new Backoff({ initialMs: 200, maxMs: 1_000 });
  const startedAt = performance.now();
  for (let tries = 0; ; tries++) {
    try {
      return await post(api, session, onSent);
    } catch (caught) {
      // A proxy may say 503 for a request that went through: the name is ours, and the annotation tells that the object is, too.
      if (tries > 0 && isCode(caught, 409)) return await ours(api, session, caught);
      const isNotYet = isCode(caught, 503);
      if (isNotYet && performance.now() - startedAt < patienceMs) {
        if (tries === 0) onNotYet();
        await backoff.wait(signal);
        if (!signal.aborted) continue;
      }
      // A request may have gone through all the same: nobody would ever come for that session.
      if (isNotYet || tries > 0)
        await deleteSession(api, session.metadata.namespace, session.metadata.name).catch(() => undefined);
      throw caught;
    }
  }
}

async function ours(api: ApiClient, { metadata }: NewSession, conflict: unknown): Promise<DebugSession> {
  const found = await getSession(api, metadata.namespace, metadata.name);
  if (found.metadata.annotations?.[auditIdAnnotation] !== metadata.annotations[auditIdAnnotation]) throw conflict;
  return found;
}

const post = async (api: ApiClient, session: NewSession, onSent: () => void): Promise<DebugSession> =>
  asSession(
    await api.send({
      method: 'POST',
      path: path(session.metadata.namespace),
      // Strict: a field that this cluster's older CRD does not have must not be dropped in silence.
      query: { fieldValidation: 'Strict', fieldManager: 'kubectl-crashcart' },
      body: session,
      headers: { 'Audit-ID': session.metadata.annotations[auditIdAnnotation] },
      onSent,
    }),
  );

export async function getSession(api: ApiClient, namespace: string, name: string): Promise<DebugSession> {
  try {
    return asSession(await api.send({ path: path(namespace, name) }));
  } catch (caught) {
    throw explain(caught, { verb: 'get', resource: plural, namespace, name });
  }
}

/** Undefined when there is none, or when the reader may not look: for those who only want to know more. */
export async function peekSession(api: ApiClient, namespace: string, name: string): Promise<DebugSession | undefined> {
  try {
    return asSession(await api.send({ path: path(namespace, name) }));
  } catch (caught) {
    if (isCode(caught, 404)) return undefined;
    throw caught;
  }
}

/** Asks for the end of a session; its record goes when the node has cleaned up. */
export async function deleteSession(api: ApiClient, namespace: string, name: string): Promise<void> {
  try {
    await api.send({ method: 'DELETE', path: path(namespace, name) });
  } catch (caught) {
    throw explain(caught, { verb: 'delete', resource: plural, namespace, name });
  }
}

/** The schema lets it grow only: two who extend at once do no harm. Who extends is written down as who asks for a session is. */
export async function extendSession(
  api: ApiClient,
  namespace: string,
  name: string,
  maxDuration: string,
): Promise<DebugSession> {
  const patch = async (spec: Pick<DebugSessionSpec, 'maxDuration' | 'extendedBy'>): Promise<DebugSession> =>
    asSession(
      await api.send({
        method: 'PATCH',
        path: path(namespace, name),
        query: { fieldManager: 'kubectl-crashcart' },
        body: { spec },
        contentType: 'application/merge-patch+json',
      }),
    );
  try {
    return await patch({ maxDuration }).catch(async (caught) => {
      if (!(caught instanceof ApiRefusal && caught.message.includes(extenderMissing))) throw caught;
      const { username, uid } = await whoAmI(api);
      return await patch({ maxDuration, extendedBy: { username, ...(uid ? { uid } : {}) } });
    });
  } catch (caught) {
    throw explain(caught, { verb: 'patch', resource: plural, namespace, name });
  }
}

/** Of one namespace, or of all. */
export async function listSessions(api: ApiClient, namespace: string | undefined): Promise<readonly DebugSession[]> {
  const sessions: DebugSession[] = [];
  let next = '';
  try {
    for (let page = 0; page < mostPages; page++) {
      const query = { limit: pageSize, ...(next === '' ? {} : { continue: next }) };
      const list = (await api.send({ path: path(namespace), query })) as {
        items?: unknown[];
        metadata?: { continue?: string };
      };
      sessions.push(...(list.items ?? []).map(asSession));
      next = list.metadata?.continue ?? '';
      if (next === '') break;
    }
    return sessions;
  } catch (caught) {
    throw explain(caught, { verb: 'list', resource: plural, namespace: namespace ?? '(all)' });
  }
}

/** Why a session failed, as its object says it. */
export const failureOf = (session: DebugSession | undefined): string | undefined =>
  session?.status?.conditions?.find(({ type }) => type === 'Ready')?.message;

/** The API server has checked it against the CRD's schema; what is looked at here is that it is one at all. */
function asSession(value: unknown): DebugSession {
  const session = value as Partial<DebugSession> | null;
  if (typeof session?.metadata?.name === 'string' && typeof session.spec === 'object') return session as DebugSession;
  throw new CrashcartError(
    reasons.Invalid,
    'the API server answered with something that is not a DebugSession: is a proxy in between?',
  );
}
