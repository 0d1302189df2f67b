import { open } from 'node:fs/promises';
import { parseDuration } from '../../base/duration.ts';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import { RawTerminal } from '../../terminal/raw-terminal.ts';
import { type CastHeader, parseHeader } from '../../wire/asciicast.ts';
import type { ApiClient } from '../api-client.ts';
import { usage } from '../command-line.ts';
import { endsOf, type Host, note } from '../host.ts';
import { apiOf, type Invocation } from '../invocation.ts';
import { peekSession } from '../sessions-api.ts';
import { SignalWatch } from '../signals.ts';
import { hint, listMarkers, Player, type PlayOptions, restoreScreen } from './player.ts';
import { type RecordingPlace, RecordingSource } from './source.ts';

/** `kubectl crashcart replay SESSION` */
export async function replay(invocation: Invocation): Promise<number> {
  const { line, host } = invocation;
  const name = nameOf(line.positionals[0]);
  const speed = speedOf(line.text('speed'));
  const maxIdleMs = idleOf(line.text('max-idle'));
  const api = apiOf(invocation);
  using signals = new SignalWatch(host);
  const place = { namespace: api.connection.namespace, name };
  const source = new RecordingSource(api, place);
  try {
    const output = line.text('output');
    if (output !== undefined) await save(source, output, host);
    else if (line.switch('markers')) await listMarkers(host, await behindHeader(source, host), printable);
    else {
      const raw = line.switch('raw') ?? false;
      await play(source, { host, speed, maxIdleMs, raw, timed: endsOf().stdoutIsTerminal, signal: signals.signal });
    }
    if (!signals.received) await tellWhatItIs(api, place, source, host);
    return signals.received ? 130 : 0;
  } finally {
    await source.close();
    await api.close();
  }
}

async function play(source: RecordingSource, options: PlayOptions): Promise<void> {
  const { host, timed } = options;
  const lines = await behindHeader(source, host);
  if (!timed) return new Player(options).play(lines);
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal]);
  const interactive = endsOf().stdinIsTerminal;
  if (!interactive) return new Player({ ...options, signal }).play(lines);
  hint(host);
  using terminal = new RawTerminal(host, () => {});
  const player = new Player({ ...options, signal, saw: (output) => terminal.saw(output) });
  const onKey = (keys: Buffer): void => {
    if (player.key(keys.toString('latin1'))) ended.abort();
  };
  host.stdin.on('data', onKey);
  try {
    await player.play(lines);
  } finally {
    host.stdin.off('data', onKey).pause();
    host.stdout.write(restoreScreen);
  }
}

/** Says what it is, and gives the lines behind the header. */
async function behindHeader(source: RecordingSource, host: Host): Promise<AsyncIterable<string>> {
  const lines = source.lines();
  const first = await lines.next();
  if (first.done) throw new CrashcartError(reasons.NotFound, 'the recording is empty so far: try again in a moment');
  introduce(parseHeader(first.value), host);
  return lines;
}

function introduce({ timestamp, crashcart: about }: CastHeader, host: Host): void {
  const { user, namespace, session, pod, container, profile, reason } = about;
  const who = user === undefined ? '' : ` by ${user}`;
  const why = reason === undefined ? '' : `, because: ${reason}`;
  const when = new Date(timestamp * 1_000).toISOString().replace(/\.\d+Z$/, 'Z');
  note(
    host,
    `session ${namespace}/${session}${who}, container ${container} of pod ${pod}, profile ${profile}, ${when}${why}`,
  );
}

async function save(source: RecordingSource, path: string, host: Host): Promise<void> {
  if (path === '-') {
    for await (const part of source.parts()) host.stdout.write(part);
    return;
  }
  // Not over what is there: a recording may hold secrets, and so may what it would replace.
  const file = await open(path, 'wx', 0o600).catch((cause: NodeJS.ErrnoException) => {
    const why = cause.code === 'EEXIST' ? 'there is such a file already' : cause.message;
    throw new CrashcartError(reasons.Invalid, `cannot write ${path}: ${why}`, { cause });
  });
  try {
    for await (const part of source.parts()) await file.write(part);
  } finally {
    await file.close();
  }
}

/** The object knows the checksum from the node that recorded; whoever may not read it learns nothing more. */
async function tellWhatItIs(api: ApiClient, { namespace, name }: RecordingPlace, source: RecordingSource, host: Host) {
  const session = await peekSession(api, namespace, name).catch(() => undefined);
  const { state, sha256, message } = session?.status?.recording ?? {};
  if (state === 'Recording') note(host, 'the session is still being recorded');
  if (state === 'Incomplete') note(host, `the recording is not complete: ${message ?? 'it stopped early'}`);
  if (sha256 === undefined) return;
  if (sha256 !== source.digest()) {
    throw new CrashcartError(
      reasons.Invalid,
      `this is not what the node recorded: its SHA-256 is ${source.digest()}, status.recording of the session says ${sha256}`,
    );
  }
}

function nameOf(text: string | undefined): string {
  const name = (text ?? '').replace(/^(debugsessions?(\.crashcart\.dev)?|dbg)\//, '');
  if (name === '') throw usage('name a session: kubectl crashcart replay SESSION; "kubectl crashcart ls" shows them');
  return name;
}

function speedOf(text: string | undefined): number {
  if (text === undefined) return 1;
  const speed = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && speed >= 0.1 && speed <= 1_000) return speed;
  throw usage(`--speed is a number from 0.1 to 1000, not "${text}"`);
}

function idleOf(text: string | undefined): number {
  if (text === undefined) return 2_000;
  const ms = text === '0' ? 0 : parseDuration(text);
  if (ms === undefined) throw usage(`--max-idle is a time such as 500ms or 2s, not "${text}"`);
  return ms === 0 ? Number.POSITIVE_INFINITY : ms;
}
