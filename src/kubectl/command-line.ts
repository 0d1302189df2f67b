import { CrashcartError, reasons } from '../base/errors.ts';

export interface Flag {
  readonly name: string;
  readonly short?: string;
  /** What the help calls its value; left out: a switch, which also takes `=true` and `=false`. */
  readonly value?: string;
  /** May be given more than once. */
  readonly many?: boolean;
  readonly choices?: readonly string[];
  readonly help: string;
}

/** What a person typed, taken apart but not yet understood. */
export class CommandLine {
  readonly positionals: readonly string[];
  /** What stood behind `--`; undefined without it or with nothing behind it. */
  readonly command: readonly string[] | undefined;
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(
    values: ReadonlyMap<string, readonly string[]>,
    positionals: readonly string[],
    command?: readonly string[],
  ) {
    this.#values = values;
    this.positionals = positionals;
    this.command = command && command.length > 0 ? command : undefined;
  }

  get given(): readonly string[] {
    return [...this.#values.keys()];
  }

  /** The last value, as kubectl takes it. */
  text(name: string): string | undefined {
    return this.#values.get(name)?.at(-1);
  }

  texts(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  /** Undefined when the switch was not given at all. */
  switch(name: string): boolean | undefined {
    const value = this.text(name);
    return value === undefined ? undefined : value === 'true';
  }

  /** The same command line without its first positional: the verb. */
  shift(): CommandLine {
    return new CommandLine(this.#values, this.positionals.slice(1), this.command);
  }
}

/**
 * The spelling that kubectl users know: flags anywhere before `--`, `--name value`, `--name=value`, `-n value`, `-nvalue`, `-it`.
 * A table of our own instead of a library: it starts in a tenth of the time, and help and completion read the same table.
 * @throws CrashcartError Invalid
 */
export function parseCommandLine(argv: readonly string[], flags: readonly Flag[]): CommandLine {
  const end = argv.indexOf('--');
  const rest = end < 0 ? [...argv] : argv.slice(0, end);
  const values = new Map<string, string[]>();
  const positionals: string[] = [];
  while (rest.length > 0) {
    const word = rest.shift() ?? '';
    if (word.startsWith('--')) takeLong(word.slice(2), rest, flags, values);
    else if (word.startsWith('-') && word.length > 1) takeShort(word.slice(1), rest, flags, values);
    else positionals.push(word);
  }
  return new CommandLine(values, positionals, end < 0 ? undefined : argv.slice(end + 1));
}

type Values = Map<string, string[]>;

function takeLong(word: string, rest: string[], flags: readonly Flag[], values: Values): void {
  const equals = word.indexOf('=');
  const name = equals < 0 ? word : word.slice(0, equals);
  const flag = flags.find((each) => each.name === name);
  if (!flag) throw unknown(`--${name}`);
  const inline = equals < 0 ? undefined : word.slice(equals + 1);
  put(flag, inline ?? (flag.value === undefined ? 'true' : next(`--${name}`, rest)), values);
}

/** `-it` is two switches; `-nprod`, `-n=prod` and `-n prod` are one flag with a value. */
function takeShort(letters: string, rest: string[], flags: readonly Flag[], values: Values): void {
  for (let at = 0; at < letters.length; at++) {
    const flag = flags.find((each) => each.short === letters[at]);
    if (!flag) throw unknown(`-${letters[at]}`);
    const tail = letters.slice(at + 1);
    if (flag.value !== undefined) {
      put(flag, tail === '' ? next(`-${letters[at]}`, rest) : tail.replace(/^=/, ''), values);
      return;
    }
    if (tail.startsWith('=')) {
      put(flag, tail.slice(1), values);
      return;
    }
    put(flag, 'true', values);
  }
}

function put(flag: Flag, value: string, values: Values): void {
  if (flag.value === undefined && value !== 'true' && value !== 'false') {
    throw usage(`--${flag.name} is a switch: write --${flag.name} or --${flag.name}=false, not "${value}"`);
  }
  if (flag.choices && !flag.choices.includes(value)) {
    throw usage(`--${flag.name} is one of ${flag.choices.join(', ')}, not "${value}"`);
  }
  values.set(flag.name, [...(values.get(flag.name) ?? []), value]);
}

function next(spelling: string, rest: string[]): string {
  const value = rest.shift();
  if (value === undefined) throw usage(`${spelling} needs a value: see "kubectl crashcart --help"`);
  return value;
}

export const usage = (message: string): CrashcartError => new CrashcartError(reasons.Invalid, message);

const unknown = (spelling: string): CrashcartError =>
  usage(`unknown flag ${spelling}: see "kubectl crashcart --help"; a command's own flags go behind "--"`);
