import { randomInt, randomUUID } from 'node:crypto';
import type { DebugSessionSpec, Requester, Visibility } from '../api/debug-session.ts';
import { visibilities } from '../api/debug-session.ts';
import { apiVersion, auditIdAnnotation, finalizer, kind } from '../api/names.ts';
import { parseDuration } from '../base/duration.ts';
import { type CommandLine, usage } from './command-line.ts';

/** What the user left out is left to the defaults of the cluster. */
export type WantedSpec = Partial<Omit<DebugSessionSpec, 'target' | 'tty' | 'stdin'>> &
  Pick<DebugSessionSpec, 'tty' | 'stdin'>;

export interface NewSession {
  readonly apiVersion: typeof apiVersion;
  readonly kind: typeof kind;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly finalizers: readonly string[];
    readonly annotations: Readonly<Record<typeof auditIdAnnotation, string>>;
  };
  readonly spec: WantedSpec & Pick<DebugSessionSpec, 'target'> & { readonly requestedBy?: Requester };
}

/** What standard input and output are. */
export interface Ends {
  readonly stdinIsTerminal: boolean;
  readonly stdoutIsTerminal: boolean;
  /** A pipe, a socket or a file, as in `< app.conf`; not /dev/null, not a terminal. */
  readonly stdinIsData: boolean;
}

/** @throws CrashcartError Invalid for a value that no cluster would take. */
export function wantedSpec(line: CommandLine, ends: Ends): WantedSpec {
  const streams = wantedStreams(line, ends);
  const user = { ...numeric(line, 'uid'), ...numeric(line, 'gid') };
  return {
    ...streams,
    ...command(line, streams.tty),
    ...named('toolbox', line.text('toolbox')),
    ...named('profile', line.text('profile')),
    ...named('reason', line.text('reason')),
    ...named('visibility', oneOf<Visibility>(visibilities, line.text('visibility'))),
    ...named('maxDuration', duration(line, 'max-duration')),
    ...named('idleTimeout', duration(line, 'idle-timeout')),
    ...named('detachGrace', duration(line, 'detach-grace')),
    ...(Object.keys(user).length > 0 ? { user } : {}),
  };
}

/**
 * -t where there is no terminal at both ends gives none, as kubectl does it. Piped input reaches a command without -i: what a
 * person who writes `< file` means; --stdin=false is for loops whose own input must not be eaten.
 */
export function wantedStreams(line: CommandLine, ends: Ends): Pick<WantedSpec, 'tty' | 'stdin'> {
  const wants = line.switch('tty') ?? (line.command === undefined && line.switch('stdin') !== false);
  const tty = wants && ends.stdinIsTerminal && ends.stdoutIsTerminal;
  const stdin = line.switch('stdin') ?? (tty || ends.stdinIsData || line.command === undefined);
  return { tty, stdin };
}

/** A shell without a terminal reads a script: no prompt, no job control, so not the interactive default. */
function command(line: CommandLine, tty: boolean): { readonly command?: readonly string[] } {
  if (line.command) return { command: line.command };
  return tty ? {} : { command: ['bash'] };
}

/** The pod's name, so that `ls` can be read, and five random letters; at most 63 characters. */
export function sessionName(pod: string, random: (below: number) => number = randomInt): string {
  // The letters that Kubernetes itself draws from: no vowels, nothing that looks like another.
  const letters = 'bcdfghjklmnpqrstvwxz2456789';
  const suffix = Array.from({ length: 5 }, () => letters[random(letters.length)]).join('');
  return `${pod.slice(0, 57).replace(/[-.]+$/, '')}-${suffix}`;
}

/** With our finalizer from the start: the controller need not write it before it hands the session to a node. */
export function newSession(
  namespace: string,
  target: { readonly pod: string; readonly container?: string },
  spec: WantedSpec,
): NewSession {
  return {
    apiVersion,
    kind,
    metadata: {
      name: sessionName(target.pod),
      namespace,
      finalizers: [finalizer],
      annotations: { [auditIdAnnotation]: randomUUID() },
    },
    spec: { target: { pod: { name: target.pod, ...named('container', target.container) } }, ...spec },
  };
}

const named = <K extends string, T>(key: K, value: T | undefined): { [key in K]?: T } =>
  value === undefined ? {} : ({ [key]: value } as { [key in K]?: T });

const oneOf = <T extends string>(choices: readonly T[], value: string | undefined): T | undefined =>
  choices.find((choice) => choice === value);

function duration(line: CommandLine, name: string): string | undefined {
  const text = line.text(name);
  if (text === undefined || parseDuration(text) !== undefined) return text;
  throw usage(`--${name} is a time such as 90s, 15m or 1h30m, not "${text}"`);
}

function numeric<K extends 'uid' | 'gid'>(line: CommandLine, name: K): { [key in K]?: number } {
  const text = line.text(name);
  if (text === undefined) return {};
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= 0x7fff_ffff) return named(name, value);
  throw usage(
    `--${name} is a number from 0 to 2147483647, not "${text}": names are of no use, the container may have no list of them`,
  );
}
