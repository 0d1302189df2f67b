import type { WebSocket } from 'ws';
import { plural } from '../api/names.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import { explain, isAboutRequest } from './api-refusal.ts';
import { openAttach } from './attach-socket.ts';
import { Carried } from './carried.ts';
import { codeOfSignal, note } from './host.ts';
import { apiOf, type Invocation } from './invocation.ts';
import { sessionName } from './session-name.ts';
import { failureOf, getSession } from './sessions-api.ts';
import { SignalWatch } from './signals.ts';
import { SessionStream } from './stream.ts';

/** The agent sends what it kept at once; what comes after a silence of this length was written later. */
const silenceMs = 400;
/** More than a node keeps of one session: what a command that never pauses writes after it is no longer what was kept. */
const mostBytes = 1024 * 1024;

/**
 * `kubectl crashcart logs SESSION`: what the node has kept of its output, for who only wants to know. It observes, so it neither types nor
 * takes the session from anybody. The exit code is about the reading, as that of `kubectl logs`, not about the command.
 */
export async function logs(invocation: Invocation): Promise<number> {
  const { line, host } = invocation;
  const name = sessionName(line.positionals[0], 'logs');
  const api = apiOf(invocation);
  const { namespace } = api.connection;
  using signals = new SignalWatch(host);
  try {
    const session = await getSession(api, namespace, name);
    if (session.status?.phase === 'Failed') {
      throw new CrashcartError(reasons.SessionEnded, failureOf(session) ?? `session "${name}" failed`);
    }
    const carried = new Carried();
    // Nobody waits for who only reads along: what a slow reader has lost is told, and it can be told only to who asks for positions.
    const socket = await openAttach(api, { namespace, name, tty: false, stdin: false, observe: true }, signals.signal, {
      id: carried.id,
    }).catch((caught: unknown) => {
      throw tooLate(explain(caught, { verb: 'attach', resource: plural, namespace, name }));
    });
    const enough = line.switch('follow') ? undefined : afterSilence(socket);
    const signal = enough ? AbortSignal.any([signals.signal, enough.signal]) : signals.signal;
    const onLost = (bytes: number): void =>
      note(host, `${bytes} bytes of output are missing here: they came faster than they were read`);
    const end = await new SessionStream(socket, host).run({ stdin: false, signal, carried, onLost });
    enough?.stop();
    if (signals.received) return codeOfSignal(signals.received);
    if (end.type === 'cut') throw new CrashcartError(reasons.AgentLost, `${end.why}: the output ends here, try again`);
    if (end.type === 'exit') note(host, end.outcome.message ?? `the command ended with exit code ${end.outcome.code}`);
    return end.type === 'broken-pipe' ? 141 : 0;
  } finally {
    await api.close();
  }
}

/** An end to the reading of a session that goes on. */
function afterSilence(socket: WebSocket): { readonly signal: AbortSignal; readonly stop: () => void } {
  const controller = new AbortController();
  let bytes = 0;
  const silence = setInterval(() => {
    // Our own reader is slow: that nothing arrives says nothing then.
    if (!socket.isPaused) controller.abort();
  }, silenceMs);
  const onMessage = (data: Buffer): void => {
    bytes += data.length;
    if (bytes > mostBytes) controller.abort();
    else silence.refresh();
  };
  socket.on('message', onMessage);
  const stop = (): void => {
    clearInterval(silence);
    socket.off('message', onMessage);
  };
  return { signal: controller.signal, stop };
}

/** The node keeps the output of a session that is over for a while only. */
function tooLate(error: CrashcartError): CrashcartError {
  if (isAboutRequest(error.reason) || error.reason !== reasons.SessionEnded) return error;
  return new CrashcartError(
    error.reason,
    `the output is not kept any more, ten minutes after the end at most: ${error.message}`,
    { cause: error },
  );
}
