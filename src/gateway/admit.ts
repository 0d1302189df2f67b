import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { type DebugSession, isTerminal } from '../api/debug-session.ts';
import { CrashcartError, isReason, reasons } from '../base/errors.ts';
import { type Admission, isAdmitted } from './admitted.ts';
import type { AgentLink } from './agent-link.ts';
import type { Agents } from './agents.ts';
import type { AttachTarget } from './attach-request.ts';
import {
  type AttachMode,
  type AuthorizeDependencies,
  attachAttributes,
  isOwn,
  observeAttributes,
  requireRight,
  sessionRights,
} from './authorize.ts';
import type { ResourceAttributes, SessionCache, UserInfo } from './kubernetes.ts';
import type { Placements } from './placements.ts';

export interface AdmitDependencies extends AuthorizeDependencies {
  readonly sessions: SessionCache;
  readonly agents: Agents;
  /** Left out: the status alone says on which node a session is. */
  readonly placements?: Pick<Placements, 'waitFor'>;
  /** Told of whoever comes to a session that is not theirs, and of those who are refused there. */
  readonly onForeign?: (session: DebugSession, user: UserInfo, visit: ForeignVisit) => void;
  /** What isAdmitted wants to know of it. Left out: everybody is asked about. */
  readonly admission?: (session: DebugSession) => Admission;
}

export interface ForeignVisit {
  readonly mode: AttachMode;
  /** The sentence that the visitor got; absent: they were let in. */
  readonly refused?: string;
}

/** The plugin attaches right after its create: the watch of this replica may be a moment behind. */
const appearMs = 2_000;
/** For the controller to find the pod and its node. */
const nodeMs = 30_000;
/** An agent that lost its connection comes back within its backoff. */
const agentMs = 5_000;

/**
 * All that must hold before the agent is asked: the rights and a node. The reviews run while the session is waited for.
 * @throws CrashcartError with what is missing
 */
export async function admit(user: UserInfo, target: AttachTarget, deps: AdmitDependencies): Promise<DebugSession> {
  const mode = modeOf(target);
  const first = mode === 'observe' ? observeAttributes(target) : attachAttributes(target);
  const mayAsk = requireRight(user, first, deps);
  const appeared = appear(target, deps.sessions);
  const mayJoin = appeared.then(async (session) => {
    if (deps.admission && isAdmitted(session, user, deps.admission(session))) return;
    await requireRights(user, session, mode, deps, first);
  });
  const placed = appeared.then((session) => place(session, user, deps));
  // Each is waited for by name: whoever lacks the right to attach learns of nothing else.
  const others = Promise.allSettled([mayJoin, placed]);
  await mayAsk.catch(async (denied) => {
    const session = mode === 'observe' ? await appeared.catch(() => undefined) : undefined;
    // One's own session needs no right to observe.
    if (!session || !isOwn(session, user)) throw denied;
  });
  await mayJoin.catch(async (denied) => {
    const session = await appeared;
    if (CrashcartError.from(denied).reason === reasons.Forbidden && !isOwn(session, user)) {
      deps.onForeign?.(session, user, { mode, refused: CrashcartError.from(denied).message });
    }
    throw denied;
  });
  await others;
  return placed;
}

export const modeOf = (target: AttachTarget): AttachMode => (target.observe ? 'observe' : 'write');

async function requireRights(
  user: UserInfo,
  session: DebugSession,
  mode: AttachMode,
  deps: AuthorizeDependencies,
  asked?: ResourceAttributes,
): Promise<void> {
  const wanted = sessionRights(session, user, mode).filter((each) => !isDeepStrictEqual(each, asked));
  await Promise.all(wanted.map((attributes) => requireRight(user, attributes, deps)));
}

/** The rights once more, for a session that is attached. @throws CrashcartError */
export async function admitAgain(
  user: UserInfo,
  session: DebugSession,
  mode: AttachMode,
  deps: AuthorizeDependencies,
): Promise<void> {
  await requireRights(user, session, mode, deps);
}

async function appear({ namespace, name }: AttachTarget, sessions: SessionCache): Promise<DebugSession> {
  const { live } = sessions;
  const session = sessions.get(namespace, name) ?? (await sessions.waitFor(namespace, name, () => true, appearMs));
  if (session) return session;
  if (!live || !sessions.live) {
    // As after a restart of the API server. Who asked may have made it a moment ago, and would take it for lost.
    throw new CrashcartError(
      reasons.Unavailable,
      `this gateway has not caught up with the API server and does not know ${name} in namespace ${namespace} yet: try again in a moment`,
    );
  }
  throw new CrashcartError(
    reasons.NotFound,
    `there is no DebugSession ${name} in namespace ${namespace}: kubectl crashcart ls -n ${namespace} shows those that there are`,
  );
}

const isPlaced = (session: DebugSession): boolean =>
  session.status?.nodeName !== undefined || isTerminal(session.status?.phase);

/** With its node in the status. */
async function place(session: DebugSession, user: UserInfo, deps: AdmitDependencies): Promise<DebugSession> {
  const { sessions } = deps;
  const { namespace, name } = session.metadata;
  const placed = isPlaced(session) ? session : await whicheverIsFirst(session, user, deps);
  // Another one may have taken the name meanwhile: in another pod, with another profile. Nobody has asked about those.
  if (placed?.metadata.uid === session.metadata.uid) return refuseFailed(placed);
  if (sessions.get(namespace, name)?.metadata.uid !== session.metadata.uid) {
    throw new CrashcartError(reasons.Deleted, `the DebugSession ${name} was deleted before it started`);
  }
  throw new CrashcartError(
    reasons.Timeout,
    `no node was found for ${name} within ${nodeMs / 1_000} s: kubectl describe debugsession ${name} -n ${namespace} says what it waits for`,
  );
}

/**
 * Its status, or its agent's word. Another person's session is told of in the Events of its pod, whose uid stands in the status: they wait for that.
 */
async function whicheverIsFirst(
  session: DebugSession,
  user: UserInfo,
  { sessions, placements }: AdmitDependencies,
): Promise<DebugSession | undefined> {
  const { namespace, name, uid } = session.metadata;
  const written = sessions.waitFor(namespace, name, isPlaced, nodeMs);
  if (!placements || !isOwn(session, user)) return written;
  const known = new AbortController();
  const told = placements.waitFor(uid, known.signal);
  try {
    return await Promise.race([
      written,
      told.then((nodeName) => ({ ...session, status: { ...session.status, nodeName } })),
    ]);
  } finally {
    known.abort();
  }
}

/** A session that never ran has nothing to attach to; one that ended may still be replayed by its agent. */
function refuseFailed(session: DebugSession): DebugSession {
  const { status, metadata } = session;
  if (status?.phase !== 'Failed') return session;
  const ready = status.conditions?.find(({ type }) => type === 'Ready');
  throw new CrashcartError(
    isReason(ready?.reason) ? ready.reason : reasons.SessionEnded,
    ready?.message || `the session ${metadata.name} failed`,
  );
}

/** How a session that is over ended, for those who come too late. */
export function endedError({ metadata, status }: DebugSession): CrashcartError {
  const exit = status?.exit;
  const how = exit ? ` with exit code ${exit.code} (${exit.reason}) at ${exit.at}` : '';
  return new CrashcartError(reasons.SessionEnded, `the session ${metadata.name} has ended${how}: start another one`);
}

/** @throws CrashcartError NoAgent when the node's agent does not connect to this replica in time */
export async function linkOf(node: string, agents: Agents, signal: AbortSignal): Promise<AgentLink> {
  const there = agents.get(node);
  if (there) return there;
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = agents.onChange((change) => {
    if (change.type === 'connected' && change.node === node) resolve();
  });
  const timer = new AbortController();
  await Promise.race([promise, sleep(agentMs, undefined, { signal: AbortSignal.any([signal, timer.signal]) })]).catch(
    () => undefined,
  );
  stop();
  timer.abort();
  const link = agents.get(node);
  if (link) return link;
  throw new CrashcartError(
    reasons.NoAgent,
    `the crashcart agent of node ${node} is not connected: look at the pod of DaemonSet crashcart-agent on that node`,
  );
}
