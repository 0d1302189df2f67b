import { type DebugSession, isTerminal } from '../api/debug-session.ts';
import { plural } from '../api/names.ts';
import { parseDuration, writeDuration } from '../base/duration.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import { type CommandLine, usage } from './command-line.ts';
import { apiOf, type Invocation } from './invocation.ts';
import { sessionName } from './session-name.ts';
import { extendSession, getSession } from './sessions-api.ts';

const usualMs = 30 * 60_000;
/** The schema's bound. */
const longestMs = 24 * 3_600_000;

/** `kubectl crashcart extend SESSION`: a longer maxDuration, the one thing about a session that can be changed. */
export async function extend(invocation: Invocation): Promise<number> {
  const { line, host } = invocation;
  const name = sessionName(line.positionals[0], 'extend');
  const api = apiOf(invocation);
  const { namespace } = api.connection;
  try {
    const maxDuration = longerDuration(await getSession(api, namespace, name), line, Date.now());
    const { status } = await extendSession(api, namespace, name, maxDuration);
    const started = Date.parse(status?.startedAt ?? '');
    const end = Number.isNaN(started)
      ? ''
      : `, until ${new Date(started + (parseDuration(maxDuration) ?? 0)).toISOString().slice(0, 19)}Z`;
    host.stdout.write(`${plural}.crashcart.dev/${name} may last ${maxDuration}${end}\n`);
    return 0;
  } finally {
    await api.close();
  }
}

/** What to write as its maxDuration. @throws CrashcartError */
export function longerDuration({ metadata, spec, status }: DebugSession, line: CommandLine, nowMs: number): string {
  if (isTerminal(status?.phase) || metadata.deletionTimestamp) {
    throw new CrashcartError(reasons.SessionEnded, `session "${metadata.name}" has ended: start another one`);
  }
  // What counts where the profile allows less than was asked for.
  const before = parseDuration(status?.maxDuration ?? spec.maxDuration) ?? 0;
  const until = line.text('until');
  const by = line.text('by');
  if (until !== undefined && by !== undefined) throw usage('say either --by or --until');
  const wanted = until === undefined ? before + timeOf(by) : moment(until, nowMs) - startOf(metadata.name, status);
  if (wanted <= before)
    throw usage(`the session may last ${writeDuration(before)} already: a session can only be extended`);
  if (wanted > longestMs) throw usage(`a session lasts 24h at most, and this would be ${writeDuration(wanted)}`);
  return writeDuration(wanted);
}

function timeOf(text: string | undefined): number {
  if (text === undefined) return usualMs;
  const ms = parseDuration(text);
  if (ms !== undefined && ms >= 1_000) return ms;
  throw usage(`--by is a time such as 90s, 30m or 1h30m, not "${text}"`);
}

function startOf(name: string, status: DebugSession['status']): number {
  const started = Date.parse(status?.startedAt ?? '');
  if (!Number.isNaN(started)) return started;
  throw usage(`session "${name}" does not run yet: extend it with --by`);
}

/** `18:30` of the clock on the wall here, today or tomorrow, or a time with its date. */
function moment(text: string, nowMs: number): number {
  const [, hours, minutes] = /^(\d{1,2}):(\d\d)$/.exec(text) ?? [];
  if (hours !== undefined && Number(hours) < 24 && Number(minutes) < 60) {
    const at = new Date(nowMs);
    at.setHours(Number(hours), Number(minutes), 0, 0);
    if (at.getTime() <= nowMs) at.setDate(at.getDate() + 1);
    return at.getTime();
  }
  const ms = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(ms)) return ms;
  throw usage(`--until is a time such as 18:30 or 2027-01-31T18:30:00Z, not "${text}"`);
}
