import { isTerminal } from '../api/debug-session.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import { usage } from './command-line.ts';
import { endsOf, note } from './host.ts';
import { apiOf, type Invocation } from './invocation.ts';
import { getSession } from './sessions-api.ts';
import { SignalWatch } from './signals.ts';
import { visit } from './visit.ts';

/** `kubectl crashcart attach SESSION`: the session says whether it has a terminal and takes input. */
export async function attach(invocation: Invocation): Promise<number> {
  const { line, host } = invocation;
  const name = nameOf(line.positionals[0]);
  const api = apiOf(invocation);
  const { namespace } = api.connection;
  using signals = new SignalWatch(host);
  try {
    const { spec, status } = await getSession(api, namespace, name);
    if (status?.phase === 'Failed') {
      const why =
        status.conditions?.find(({ type }) => type === 'Ready')?.message ?? 'see "kubectl describe debugsession"';
      throw new CrashcartError(reasons.SessionEnded, `session "${name}" failed: ${why}`);
    }
    const ends = endsOf();
    const tty = spec.tty && ends.stdinIsTerminal && ends.stdoutIsTerminal;
    if (spec.tty && !tty)
      note(host, 'the session has a terminal and we have none: its output comes as the terminal would see it');
    const stdin = line.switch('stdin') ?? (spec.tty ? tty || ends.stdinIsData : spec.stdin);
    // The last lines may be all that a person sees of it before a quiet prompt.
    if (tty && !isTerminal(status?.phase)) note(host, `attached to ${name}: press Enter if there is no prompt`);
    return await visit({ api, host, signals }, { namespace, name, tty, stdin, owned: false, remove: false });
  } finally {
    await api.close();
  }
}

/** `kubectl get -o name` puts the kind before it. */
function nameOf(text: string | undefined): string {
  const name = text?.replace(/^(debugsessions?(\.crashcart\.dev)?|dbg)\//, '') ?? '';
  if (/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name)) return name;
  throw usage('name a session: kubectl crashcart attach SESSION, see "kubectl crashcart ls"');
}
