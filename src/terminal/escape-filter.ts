/**
 * Lets through what draws (text, colours, cursor, screen, line editing) and drops every other control sequence: what would set the clipboard or
 * the title (OSC), make the terminal answer as if the person had typed (DA, DSR, DECRQM, ENQ …), report the mouse, load keys or fonts (DCS), or
 * print to a file. An allow list, because terminals know more sequences than anybody has listed. Keeps its place between calls.
 */
export class EscapeFilter {
  #state: State = 'text';
  /** The sequence so far, in 'escape' and 'csi'. */
  #sequence = '';
  /** Length of the string that is being skipped, in 'string'. */
  #skipped = 0;

  /** What of `text` is safe; a sequence that is not complete yet comes with the call that completes it. */
  filter(text: string): string {
    let safe = '';
    for (const char of text) safe += this.#take(char);
    return safe;
  }

  #take(char: string): string {
    const code = char.codePointAt(0) ?? 0;
    // These end whatever was begun, as they do in a terminal.
    if (code === escapeByte) return this.#begin('escape', char);
    if (code === cancel || code === substitute) return this.#end('');
    switch (this.#state) {
      case 'text':
        return this.#text(char, code);
      case 'escape':
        return this.#escape(char, code);
      case 'csi':
        return this.#csi(char, code);
      case 'string':
        return this.#string(code);
    }
  }

  #text(char: string, code: number): string {
    if (code === 0x9b) return this.#begin('csi', `${String.fromCharCode(escapeByte)}[`);
    if (stringsOfC1.has(code)) return this.#begin('string', '');
    if (code < 0x20) return drawingC0.has(code) ? char : '';
    return (code >= 0x7f && code <= 0x9f) || isTurning(code) ? '' : char;
  }

  #escape(char: string, code: number): string {
    if (this.#sequence.length === 1) {
      if (char === '[') return this.#begin('csi', this.#sequence + char);
      if (']PX^_'.includes(char)) return this.#begin('string', '');
    }
    // A control character is carried out in the middle of a sequence.
    if (code < 0x20) return drawingC0.has(code) ? char : '';
    this.#sequence += char;
    if (code >= 0x20 && code <= 0x2f && this.#sequence.length < longestEscape) return '';
    return this.#end(drawingEscape.test(this.#sequence) ? this.#sequence : '');
  }

  #csi(char: string, code: number): string {
    if (code < 0x20) return drawingC0.has(code) ? char : '';
    this.#sequence += char;
    if (code >= 0x40 && code <= 0x7e) return this.#end(isDrawing(this.#sequence) ? this.#sequence : '');
    if (code > 0x7e || this.#sequence.length > longestCsi) return this.#end('');
    return '';
  }

  /** Ends with BEL or ST; the ESC of ST has ended it already. One that never ends must not hide all that follows. */
  #string(code: number): string {
    this.#skipped += 1;
    if (code === 0x07 || code === 0x9c || this.#skipped > longestString) return this.#end('');
    return '';
  }

  #begin(state: State, sequence: string): string {
    this.#state = state;
    this.#sequence = sequence;
    this.#skipped = 0;
    return '';
  }

  #end(safe: string): string {
    this.#state = 'text';
    this.#sequence = '';
    return safe;
  }
}

type State = 'text' | 'escape' | 'csi' | 'string';

const escapeByte = 0x1b;
const cancel = 0x18;
const substitute = 0x1a;
const longestEscape = 4;
const longestCsi = 64;
const longestString = 4096;

/** BEL, BS, HT, LF, VT, FF, CR, SO, SI. Not ENQ, which the terminal answers. */
const drawingC0: ReadonlySet<number> = new Set([7, 8, 9, 10, 11, 12, 13, 14, 15]);
/** DCS, SOS, OSC, PM, APC. */
const stringsOfC1: ReadonlySet<number> = new Set([0x90, 0x98, 0x9d, 0x9e, 0x9f]);

/** Save and restore the cursor, index, next line, tab stop, reverse index, and the character sets that draw lines. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what starts a sequence
const drawingEscape = /^\x1b(?:[78DEHM]|[()][0AB])$/;

/** Cursor, erase, insert, delete, scroll, tab, repeat, attributes, margins, save and restore. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what starts a sequence
const drawingCsi = /^\x1b\[(?:[0-9;:]{0,48}[@A-IJKLMPSTXZ`abdefgmrsu]|4[hl]|[0-6] q|!p)$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what starts a sequence
const privateMode = /^\x1b\[\?([0-9;]{1,48})[hl]$/;
/** Screen, origin, wrapping, cursor, margins, second screen, synchronised output. None of those that change what keys or a mouse send. */
const drawingModes: ReadonlySet<string> = new Set([
  '5',
  '6',
  '7',
  '12',
  '25',
  '47',
  '69',
  '1047',
  '1048',
  '1049',
  '2026',
]);
/** A count beyond any screen only keeps the terminal busy. */
const largestNumber = 9999;

function isDrawing(sequence: string): boolean {
  const [, modes] = privateMode.exec(sequence) ?? [];
  if (modes !== undefined) return modes.split(';').every((mode) => drawingModes.has(mode));
  return drawingCsi.test(sequence) && (sequence.match(/\d+/g) ?? []).every((number) => Number(number) <= largestNumber);
}

/** Characters that turn the writing direction can make a line read as another one (CVE-2021-42574). */
const isTurning = (code: number): boolean => (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
