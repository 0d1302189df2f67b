import { parseArgs } from 'node:util';
import { CrashcartError, reasons } from '../base/errors.ts';
import { type Option, options, verbs } from './command-table.ts';

/** What a person typed, taken apart. */
export interface CommandLine {
  readonly options: Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;
  /** Undefined: no ID. */
  readonly verb: string | undefined;
  readonly id: string | undefined;
  /** All behind the ID or verb, untouched. */
  readonly rest: readonly string[];
}

const parserOptions = Object.fromEntries(
  options.map(({ name, short, value, many }) => [
    name,
    {
      type: value === undefined ? ('boolean' as const) : ('string' as const),
      ...(short ? { short } : {}),
      multiple: many === true,
    },
  ]),
);

/**
 * Options first, then ID; what follows the ID is the command and is not looked at, as with `docker exec`. `--` before the ID says that
 * no verb is meant.
 * @throws CrashcartError Invalid
 */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const { tokens } = parseArgs({
    args: [...args],
    options: parserOptions,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const end = tokens.find(({ kind }) => kind === 'positional' || kind === 'option-terminator');
  const cut = end?.index ?? args.length;
  const behind = args.slice(end?.kind === 'option-terminator' ? cut + 1 : cut);
  const [first, ...rest] = behind;
  const verb = end?.kind === 'positional' ? verbs.find(({ name }) => name === first)?.name : undefined;
  const values = parseOptions(args.slice(0, cut));
  if (verb !== undefined) return { options: values, verb, id: undefined, rest };
  return { options: values, verb: undefined, ...identifier(first, rest, end?.kind === 'positional') };
}

/** `k8s NAMESPACE/POD` is one ID in two words. */
function identifier(
  first: string | undefined,
  rest: readonly string[],
  words: boolean,
): Pick<CommandLine, 'id' | 'rest'> {
  const [second, ...more] = rest;
  const found =
    words && first === 'k8s' && second !== undefined ? { id: `k8s ${second}`, rest: more } : { id: first, rest };
  if (found.id === '') throw usage('the ID is empty');
  const command = found.rest[0] === '--' ? found.rest.slice(1) : found.rest;
  if (command[0]?.startsWith('-')) {
    throw usage(`"${command[0]}" stands where a command is expected: options go before the ID`);
  }
  return { id: found.id, rest: command };
}

function parseOptions(args: readonly string[]): CommandLine['options'] {
  try {
    const { values } = parseArgs({ args: [...args], options: parserOptions, strict: true, allowPositionals: false });
    for (const option of options) checkChoice(option, values[option.name]);
    return values;
  } catch (error) {
    if (error instanceof CrashcartError || !(error instanceof Error)) throw error;
    throw usage(
      error.message.replace(/\. To specify.*$/s, '').replace(/^./, (letter) => letter.toLowerCase()),
      error,
    );
  }
}

function checkChoice({ name, choices }: Option, value: unknown): void {
  if (choices === undefined || value === undefined || choices.includes(String(value))) return;
  throw usage(`--${name} is one of ${choices.join(', ')}, not "${String(value)}"`);
}

export const usage = (message: string, cause?: unknown): CrashcartError =>
  new CrashcartError(reasons.Invalid, `${message}; see "crashcart --help"`, cause === undefined ? {} : { cause });
