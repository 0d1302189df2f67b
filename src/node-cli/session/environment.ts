import { printable } from '../../base/text.ts';
import type { TargetSpec } from '../../node-agent/session/request.ts';
import type { Candidate } from '../runtimes/runtime.ts';
import { labelOf } from '../target/match.ts';

export interface EnvironmentRequest {
  readonly candidate: Candidate;
  readonly spec: Pick<TargetSpec, 'user' | 'env'>;
  readonly uid: number | undefined;
  /** The user's own TERM, for a command on a terminal. */
  readonly term: string | undefined;
}

/**
 * The session's environment but for PATH. Nothing of the container's own is in it, because a variable (LD_PRELOAD, BASH_ENV, a secret)
 * would be the container's word in our shell; of HOME only the path is taken.
 */
export function environmentFor({
  candidate,
  spec,
  uid = spec.user.uid,
  term,
}: EnvironmentRequest): Readonly<Record<string, string>> {
  return {
    ...(term === undefined ? {} : { TERM: /^[\w.+-]{1,64}$/.test(term) ? term : 'xterm-256color' }),
    HOME: home(uid, spec),
    ...(uid === 0 ? { USER: 'root', LOGNAME: 'root' } : {}),
    LANG: 'C.UTF-8',
    // A history file would be a trace in the container, and readline's key bindings there may be anybody's.
    HISTFILE: '',
    INPUTRC: '/dev/null',
    // The prompt says where one is.
    ...(candidate.runtime === 'pid' ? {} : { CRASHCART_POD: printable(candidate.pod?.name ?? labelOf(candidate)) }),
    ...(candidate.pod ? { CRASHCART_CONTAINER: printable(candidate.pod.container) } : {}),
  };
}

function home(uid: number, { user, env }: EnvironmentRequest['spec']): string {
  const own = env.findLast((entry) => entry.startsWith('HOME='))?.slice('HOME='.length);
  if (uid === user.uid && own?.startsWith('/')) return own;
  return uid === 0 ? '/root' : '/';
}
