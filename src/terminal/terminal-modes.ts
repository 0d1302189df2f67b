/**
 * Which private modes (ECMA-48, xterm) the remote side has switched on, so that a connection that is cut inside vim or top
 * does not leave the terminal on its second screen, without a cursor or reporting the mouse.
 */
export class ModeTracker {
  readonly #on = new Set<number>();
  /** The start of a sequence whose end has not come yet. */
  #tail = '';

  saw(output: Uint8Array): void {
    if (this.#tail === '' && !output.includes(escapeByte)) return;
    const text = this.#tail + Buffer.from(output.buffer, output.byteOffset, output.length).toString('latin1');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what starts a sequence
    for (const [, list, end] of text.matchAll(/\x1b\[\?([0-9;]{1,64})([hl])/g)) {
      for (const mode of (list ?? '').split(';').map(Number)) this.#set(mode, end === 'h');
    }
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what starts a sequence
    this.#tail = /\x1b(?:\[(?:\?[0-9;]{0,64})?)?$/.exec(text)?.[0] ?? '';
  }

  /** A program has the second screen. */
  get fullScreen(): boolean {
    return [47, 1047, 1049].some((mode) => this.#on.has(mode));
  }

  /** What switches them off again; empty when there is nothing to do. */
  undo(): string {
    const sequences = [...this.#on].map((mode) => (normallyOn.has(mode) ? `\x1b[?${mode}h` : `\x1b[?${mode}l`));
    this.#on.clear();
    return sequences.length === 0 ? '' : `${sequences.join('')}\x1b[0m`;
  }

  #set(mode: number, on: boolean): void {
    if (!watched.has(mode)) return;
    if (on === normallyOn.has(mode)) this.#on.delete(mode);
    else this.#on.add(mode);
  }
}

const escapeByte = 0x1b;
/** 25: the cursor is visible. */
const normallyOn: ReadonlySet<number> = new Set([25]);
/** 1: application cursor keys; 47, 1047, 1049: second screen; 9, 1000–1006, 1015: mouse; 1004: focus; 2004: bracketed paste. */
const watched: ReadonlySet<number> = new Set([
  1, 9, 25, 47, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1047, 1049, 2004,
]);
