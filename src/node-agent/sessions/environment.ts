import type { DesiredSession } from '../../wire/agent-protocol.ts';
import type { RuntimeSpec } from '../target/runtime-spec.ts';
import type { PutContext } from './sessions.ts';

/**
 * The environment of a session but for PATH. Nothing of the container's own is in it, because a variable (LD_PRELOAD,
 * BASH_ENV, a proxy, a secret) would be the container's word in our shell; of HOME only the path is taken.
 */
export function givenEnvironment(
  desired: DesiredSession,
  context: PutContext,
  spec: Pick<RuntimeSpec, 'user' | 'env'>,
): Readonly<Record<string, string>> {
  const uid = desired.user?.uid ?? spec.user.uid;
  return {
    ...(desired.tty ? { TERM: 'xterm-256color' } : {}),
    HOME: home(uid, spec),
    ...(uid === 0 ? { USER: 'root', LOGNAME: 'root' } : {}),
    LANG: 'C.UTF-8',
    // A history file would be a trace in the container, and readline's key bindings there may be anybody's.
    HISTFILE: '',
    INPUTRC: '/dev/null',
    CRASHCART_SESSION: `${desired.namespace}/${desired.name}`,
    CRASHCART_POD: desired.pod.name,
    CRASHCART_CONTAINER: desired.container.name,
    ...(context.auditId ? { CRASHCART_AUDIT_ID: context.auditId } : {}),
  };
}

/** The container's HOME belongs to the container's user; another user gets what every system has. */
function home(uid: number, spec: Pick<RuntimeSpec, 'user' | 'env'>): string {
  const own = spec.env.findLast((entry) => entry.startsWith('HOME='))?.slice('HOME='.length);
  if (uid === spec.user.uid && own?.startsWith('/')) return own;
  return uid === 0 ? '/root' : '/';
}
