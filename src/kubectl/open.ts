import type { ApiClient } from './api-client.ts';
import { escapeOf } from './escape.ts';
import { endsOf, type Host, note } from './host.ts';
import { apiOf, type Invocation } from './invocation.ts';
import { newSession, wantedSpec } from './new-session.ts';
import { createSession } from './sessions-api.ts';
import { SignalWatch } from './signals.ts';
import { parseTarget, type Target } from './target.ts';

/** `kubectl crashcart TARGET`: makes a session of its own and goes there. */
export async function open(invocation: Invocation): Promise<number> {
  const { line, host } = invocation;
  const target = parseTarget(line.positionals[0] ?? '');
  const spec = wantedSpec(line, endsOf());
  if (line.switch('tty') && !spec.tty) note(host, 'no terminal for the command: standard input or output is not one');
  const api = apiOf(invocation);
  const { namespace } = api.connection;
  using signals = new SignalWatch(host);
  try {
    const container = line.text('container');
    const pod = await podOf(api, namespace, target, host);
    const session = newSession(namespace, { pod, ...(container === undefined ? {} : { container }) }, spec);
    // Not aborted by a signal: whether the object exists must be known before it can be deleted.
    // The other half of this program is loaded while the API server is at work.
    const { promise: sent, resolve: onSent } = Promise.withResolvers<void>();
    const onNotYet = (): void => note(host, 'the API server is not ready for sessions yet: trying again');
    const created = createSession(api, session, { onSent, onNotYet, signal: signals.signal });
    const [{ visit }] = await Promise.all([sent.then(() => import('./visit.ts')), created]);
    const { name } = session.metadata;
    const key = escapeOf(line, host.env);
    const remove = line.switch('rm') ?? false;
    return await visit(
      { api, host, signals },
      { namespace, name, tty: spec.tty, stdin: spec.stdin, owned: true, remove, escape: key },
    );
  } finally {
    await api.close();
  }
}

async function podOf(api: ApiClient, namespace: string, target: Target, host: Host): Promise<string> {
  if (target.type === 'pod') return target.name;
  const { choosePod } = await import('./workload.ts');
  const choice = await choosePod(api, namespace, target);
  const among = choice.of === 1 ? 'the only' : `the newest of ${choice.of}`;
  note(host, `pod/${choice.pod} (${among} ${choice.ready ? 'ready' : 'running, none is ready'})`);
  return choice.pod;
}
