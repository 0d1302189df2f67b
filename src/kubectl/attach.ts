import { isTerminal } from '../api/debug-session.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import { usage } from './command-line.ts';
import { escapeOf } from './escape.ts';
import { endsOf, note } from './host.ts';
import { apiOf, type Invocation } from './invocation.ts';
import { sessionName } from './session-name.ts';
import { failureOf, getSession } from './sessions-api.ts';
import { SignalWatch } from './signals.ts';
import { visit } from './visit.ts';

/** `kubectl crashcart attach SESSION`: the session says whether it has a terminal and takes input. */
export async function attach(invocation: Invocation): Promise<number> {
  const { line, host } = invocation;
  const name = sessionName(line.positionals[0], 'attach');
  const api = apiOf(invocation);
  const { namespace } = api.connection;
  using signals = new SignalWatch(host);
  try {
    const session = await getSession(api, namespace, name);
    const { spec, status } = session;
    if (status?.phase === 'Failed') {
      const why = failureOf(session) ?? 'see "kubectl describe debugsession"';
      throw new CrashcartError(reasons.SessionEnded, `session "${name}" failed: ${why}`);
    }
    if (line.switch('watch')) {
      if (line.switch('stdin')) throw usage('--watch only reads along: leave out --stdin');
      note(host, `watching ${name}: what you type goes nowhere, Ctrl-C ends it`);
      const watching = {
        namespace,
        name,
        tty: false,
        stdin: false,
        observe: true,
        owned: false,
        remove: false,
        escape: undefined,
      };
      return await visit({ api, host, signals }, watching);
    }
    const ends = endsOf();
    const tty = spec.tty && ends.stdinIsTerminal && ends.stdoutIsTerminal;
    if (spec.tty && !tty)
      note(host, 'the session has a terminal and we have none: its output comes as the terminal would see it');
    const stdin = line.switch('stdin') ?? (spec.tty ? tty || ends.stdinIsData : spec.stdin);
    // The last lines may be all that a person sees of it before a quiet prompt.
    if (tty && !isTerminal(status?.phase)) note(host, `attached to ${name}: press Enter if there is no prompt`);
    return await visit(
      { api, host, signals },
      { namespace, name, tty, stdin, owned: false, remove: false, escape: escapeOf(line, host.env) },
    );
  } finally {
    await api.close();
  }
}
