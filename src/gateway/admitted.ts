import type { DebugSession } from '../api/debug-session.ts';
import { isOwn } from './authorize.ts';
import type { UserInfo } from './kubernetes.ts';

/** So long the admission policy's yes at the creation counts, as every other yes does (allow-cache.ts). */
const freshMs = 10_000;
/** What the API server itself adds, about the credential; whatever else there is may narrow what a token is good for. */
const credentialExtra = 'authentication.kubernetes.io/';

export interface Admission {
  /** Since when the admission policies are as the chart made them, by the API server's clock; undefined: they are not. */
  readonly policiesSinceMs: number | undefined;
  /** How long this replica has known the session, by its own monotonic clock; undefined: it does not. */
  readonly seenForMs: number | undefined;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

/**
 * Whether the API server has just answered for `user` what the gateway would ask it about this session: the admission policy lets nobody
 * create one who may not exec into the pod and use the profile. True only for its maker, with the same uid and groups and no narrower
 * token, and while that yes is fresh by both clocks: a wrong one of ours must not make an old answer a new one.
 */
export function isAdmitted(session: DebugSession, user: UserInfo, admission: Admission): boolean {
  const { policiesSinceMs, seenForMs = Number.POSITIVE_INFINITY, nowMs } = admission;
  const createdMs = Date.parse(session.metadata.creationTimestamp);
  const { uid = '', groups = [] } = session.spec.requestedBy ?? {};
  return (
    isOwn(session, user) &&
    uid === (user.uid ?? '') &&
    isSameSet(groups, user.groups) &&
    Object.keys(user.extra).every((key) => key.startsWith(credentialExtra)) &&
    policiesSinceMs !== undefined &&
    createdMs >= policiesSinceMs &&
    Math.abs(nowMs - createdMs) <= freshMs &&
    seenForMs <= freshMs
  );
}

function isSameSet(a: readonly string[], b: readonly string[]): boolean {
  const [left, right] = [new Set(a), new Set(b)];
  return left.size === right.size && [...left].every((each) => right.has(each));
}
