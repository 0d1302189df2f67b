import { type CommandLine, usage } from './command-line.ts';

/** What a person asked of us, not of the shell. */
export type EscapeAction = 'detach' | 'help';

/** Ctrl-]: no shell binds it, and neither ssh nor tmux on the way takes it. */
export const defaultEscape = '^]';

/**
 * Finds the escape sequence in what is typed: the escape key and then `.` (leave, the session goes on) or `?` (help). Twice the key sends it
 * once; with any other key behind it both are sent. In a terminal only: data is never looked at.
 */
export class Escape {
  readonly #key: number | undefined;
  #pending = false;

  /** `key`: one byte; undefined: off. */
  constructor(key: number | undefined) {
    this.#key = key;
  }

  /** What is for the session, up to the first action; `rest` is what came behind that. */
  take(typed: Buffer): { readonly pass: Buffer; readonly action?: EscapeAction; readonly rest?: Buffer } {
    const key = this.#key;
    if (key === undefined || (!this.#pending && !typed.includes(key))) return { pass: typed };
    const pass: number[] = [];
    for (const [at, byte] of typed.entries()) {
      if (!this.#pending) {
        if (byte === key) this.#pending = true;
        else pass.push(byte);
        continue;
      }
      this.#pending = false;
      const action = actions.get(byte);
      if (action) return { pass: Buffer.from(pass), action, rest: typed.subarray(at + 1) };
      pass.push(key);
      if (byte !== key) pass.push(byte);
    }
    return { pass: Buffer.from(pass) };
  }
}

const actions: ReadonlyMap<number, EscapeAction> = new Map([
  [0x2e, 'detach'],
  [0x3f, 'help'],
]);

/** `^]`, `^X`, one printable character, or `none`. @throws CrashcartError Invalid */
export function parseEscape(text: string): number | undefined {
  if (text === 'none') return undefined;
  const control = /^\^([@-_a-z?])$/.exec(text)?.[1];
  if (control !== undefined) return control === '?' ? 0x7f : control.toUpperCase().charCodeAt(0) & 0x1f;
  if (/^[!-~]$/.test(text) && !actions.has(text.charCodeAt(0))) return text.charCodeAt(0);
  throw usage(`--escape is a key such as ^] or ~, or none, not "${text}"`);
}

/** `--escape` before CRASHCART_ESCAPE before the default. @throws CrashcartError Invalid */
export const escapeOf = (line: CommandLine, env: NodeJS.ProcessEnv): number | undefined =>
  parseEscape(line.text('escape') ?? env['CRASHCART_ESCAPE'] ?? defaultEscape);

/** For people. */
export function nameOfKey(key: number): string {
  if (key === 0x7f) return 'Ctrl-?';
  return key < 0x20 ? `Ctrl-${String.fromCharCode(key | 0x40)}` : String.fromCharCode(key);
}
