import { performance } from 'node:perf_hooks';
import type { WebSocket } from 'ws';
import { type DebugSession, isTerminal, type Phase } from '../api/debug-session.ts';
import { plural } from '../api/names.ts';
import { Backoff } from '../base/backoff.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import type { ApiClient } from './api-client.ts';
import { explain, isAboutRequest } from './api-refusal.ts';
import { type Attachment, isRecorded, openAttach } from './attach-socket.ts';
import { codeOfSignal, type Host, note } from './host.ts';
import { Progress, progressOf } from './progress.ts';
import { deleteSession, failureOf, peekSession } from './sessions-api.ts';
import type { SignalWatch } from './signals.ts';
import { Stay } from './stay.ts';

export interface Visit extends Attachment {
  /** This command made the session: what goes wrong before it is reached ends it, and Ctrl-C does without a terminal. */
  readonly owned: boolean;
  /** Delete the record afterwards. */
  readonly remove: boolean;
  /** The key of the escape sequence; undefined: off. */
  readonly escape: number | undefined;
}

interface Tools {
  readonly api: ApiClient;
  readonly host: Host;
  readonly signals: SignalWatch;
}

/** How long attaching is tried again while the server says "not now": a node's way to an API server that has restarted can take 40 s to be back. */
const patienceMs = 60_000;
const brokenPipeCode = 141;

/** Attaches, carries the bytes until the end, and returns the exit code. @throws CrashcartError for a person */
export async function visit(tools: Tools, wanted: Visit): Promise<number> {
  const stay = new Stay(tools, wanted);
  const socket = await reach(tools, wanted, stay.carried.id);
  if (socket === undefined) return leave(tools, wanted, wanted.owned);
  if (isRecorded(socket)) note(tools.host, 'this session is recorded: all that it shows, not what you type unseen');
  const end = await stay.run(socket);
  switch (end.type) {
    case 'exit':
      return conclude(tools, wanted, end.outcome);
    case 'cut':
      return investigate(tools, wanted, end.why);
    case 'broken-pipe':
      if (wanted.owned) await endQuietly(tools, wanted);
      return brokenPipeCode;
    case 'detached':
      note(tools.host, comeBack(wanted));
      return 0;
    case 'aborted':
      return leave(tools, wanted, wanted.owned && (!wanted.tty || wanted.remove));
  }
}

/** The open stream; undefined when a signal came first. */
async function reach({ api, host, signals }: Tools, wanted: Visit, id: bigint): Promise<WebSocket | undefined> {
  using _progress = new Progress(host, async () => {
    const session = await peekSession(api, wanted.namespace, wanted.name);
    return session ? progressOf(session) : '';
  });
  try {
    return await openPatiently(api, wanted, signals.signal, id);
  } catch (caught) {
    if (signals.received) return undefined;
    throw await afterRefusal(api, wanted, caught);
  }
}

async function openPatiently(api: ApiClient, wanted: Visit, signal: AbortSignal, id: bigint): Promise<WebSocket> {
  const backoff = new Backoff({ initialMs: 200, maxMs: 2_000 });
  const startedAt = performance.now();
  for (;;) {
    try {
      return await openAttach(api, wanted, signal, { id });
    } catch (caught) {
      if (signal.aborted || !mayPass(caught) || performance.now() - startedAt > patienceMs) throw caught;
      await backoff.wait(signal);
    }
  }
}

const mayPass = (caught: unknown): boolean => caught instanceof CrashcartError && caught.reason === reasons.Unavailable;

/**
 * A session that failed stays as the record of why; one that may still run, unreachable for its maker, is ended. The refusal
 * may come from the agent itself, before the object says Failed.
 */
async function afterRefusal(api: ApiClient, wanted: Visit, caught: unknown): Promise<CrashcartError> {
  const error = explain(caught, { verb: 'attach', resource: plural, ...wanted });
  if (!wanted.owned) return error;
  const { namespace, name } = wanted;
  const failed = !isAboutRequest(error.reason) || isTerminal(await phaseOf(api, wanted));
  const what = failed && !wanted.remove ? `recorded in session "${name}"` : await removed(api, namespace, name);
  return new CrashcartError(error.reason, what === '' ? error.message : `${error.message} (${what})`, {
    cause: caught,
  });
}

const phaseOf = (api: ApiClient, { namespace, name }: Visit): Promise<Phase | undefined> =>
  peekSession(api, namespace, name).then(
    (session) => session?.status?.phase,
    () => undefined,
  );

/** Empty, or that it is still there. */
const removed = (api: ApiClient, namespace: string, name: string): Promise<string> =>
  deleteSession(api, namespace, name).then(
    () => '',
    () => `the session is still there: kubectl crashcart rm ${name} -n ${namespace}`,
  );

const comeBack = ({ name, namespace }: Visit): string =>
  `detached; the session goes on: kubectl crashcart attach ${name} -n ${namespace}`;

async function conclude(tools: Tools, wanted: Visit, outcome: { code: number; reason?: string; message?: string }) {
  // A command's own exit speaks for itself; what a limit, a deletion or a failure ended has to be said.
  if (outcome.reason && outcome.message) note(tools.host, outcome.message);
  if (wanted.remove) await endQuietly(tools, wanted);
  return outcome.code;
}

/**
 * Never exit 0 for a stream that was cut (kubernetes/kubernetes#73056): the object says what became of the command. It may
 * take a moment to say it, and the API server may be the one that restarts.
 */
async function investigate(tools: Tools, wanted: Visit, why: string): Promise<number> {
  const { api, namespace, name } = { ...tools, ...wanted };
  const backoff = new Backoff({ initialMs: 200, maxMs: 1_000 });
  let seen = false;
  for (let look = 0; look < 4 && !tools.signals.received; look++) {
    const session = await peekSession(api, namespace, name).catch(() => null);
    seen = session !== null;
    if (session === undefined) throw new CrashcartError(reasons.Deleted, `${why}: session "${name}" was deleted`);
    if (session && isTerminal(session.status?.phase)) return fateOf(tools, wanted, session);
    await backoff.wait(tools.signals.signal);
  }
  const back = `kubectl crashcart attach ${name} -n ${namespace}`;
  const runs = seen ? 'still runs' : 'may still run';
  throw new CrashcartError(reasons.AgentLost, `connection lost; the session ${runs}: ${back}`);
}

function fateOf(tools: Tools, wanted: Visit, session: DebugSession): Promise<number> {
  const { exit } = session.status ?? {};
  if (!exit) throw new CrashcartError(reasons.SessionEnded, failureOf(session) ?? `session "${wanted.name}" failed`);
  note(tools.host, 'connection lost; some of the last output may be missing');
  const code = exit.reason === reasons.Completed ? exit.code : exit.code || 1;
  const said = { reason: exit.reason, message: `the session ended: ${exit.reason}` };
  return conclude(tools, wanted, { code, ...(exit.reason === reasons.Completed ? {} : said) });
}

/** On a signal. A shell on a terminal goes on, to come back to; a command without one, and what was never reached, is ended. */
async function leave(tools: Tools, wanted: Visit, end: boolean): Promise<number> {
  const { signals, host } = tools;
  const code = codeOfSignal(signals.received ?? 'SIGTERM');
  if (end) await endQuietly(tools, wanted);
  else {
    note(host, `detached; the session still runs: kubectl crashcart attach ${wanted.name} -n ${wanted.namespace}`);
  }
  return code;
}

async function endQuietly({ api, host }: Tools, { namespace, name }: Visit): Promise<void> {
  try {
    await deleteSession(api, namespace, name);
  } catch (caught) {
    note(host, `session "${name}" could not be deleted: ${CrashcartError.from(caught).message}`);
  }
}
