import { expect, test } from 'vitest';
import { EscapeFilter } from './escape-filter.ts';

const through = (text: string): string => new EscapeFilter().filter(text);

test.each([
  ['text in every script', 'plain, caf\u00e9, \u65e5\u672c, \u{1f600}, tab\t, new line\r\n'],
  ['colours', '\u001b[1;38;2;10;20;30mred\u001b[0m \u001b[38:5:9mx\u001b[m'],
  ['cursor and erase', '\u001b[H\u001b[2J\u001b[10;20H\u001b[K\u001b[3A\u001b[?25l\u001b[?25h\u001b[2 q'],
  ['the second screen of vim', '\u001b[?1049h\u001b[1;40r\u001b[?7l\u001b[?1049l'],
  ['line drawing', '\u001b(0lqqk\u001b(B\u000elqk\u000f'],
  ['insert and delete', '\u001b[4h\u001b[2@\u001b[3P\u001b[4l\u001b7\u001b8\u001bM'],
])('%s passes as it is', (_, text) => {
  expect(through(text)).toBe(text);
});

test.each([
  ['the clipboard', '\u001b]52;c;cm0gLXJmIC8=\u0007'],
  ['the clipboard, ended by ST', '\u001b]52;c;cm0=\u001b\\'],
  ['the clipboard in C1', '\u009d52;c;cm0=\u009c'],
  ['the title', '\u001b]0;rm -rf /\u0007\u001b]2;x\u0007'],
  ['the title’s report', '\u001b[21t'],
  ['a hyperlink', '\u001b]8;;https://evil.example\u0007'],
  ['a file through the terminal', '\u001b]1337;File=name=eA==:AAAA\u0007'],
  ['device attributes', '\u001b[c\u001b[0c\u001b[>c\u001b[=c\u001bZ'],
  ['device attributes in C1', '\u009bc'],
  ['the cursor’s position', '\u001b[6n\u001b[?6n\u001b[5n'],
  ['a mode’s report', '\u001b[?1$p\u001b[4$p'],
  ['terminal parameters', '\u001b[x'],
  ['ENQ', '\u0005'],
  ['the answer-back of DCS', '\u001bP$q"p\u001b\\\u001bP+q544e\u001b\\'],
  ['user-defined keys', '\u001bP0;1|17/6c73\u001b\\'],
  ['APC, PM and SOS', '\u001b_x\u001b\\\u001b^x\u001b\\\u001bXx\u001b\\'],
  ['mouse, focus and paste', '\u001b[?1000h\u001b[?1003;1006h\u001b[?1004h\u001b[?2004h'],
  ['application cursor keys', '\u001b[?1h\u001b='],
  ['the keyboard’s protocols', '\u001b[>4;2m\u001b[>1u\u001b[?u\u001b[=5u'],
  ['printing', '\u001b[5i\u001b[?4i'],
  ['windows', '\u001b[8;10;10t'],
  ['a reset of everything', '\u001bc'],
  ['a mode among harmless ones', '\u001b[?25;1000h'],
  ['a repetition that keeps a terminal busy', '\u001b[99999999b'],
  ['characters that turn the direction', '\u202e\u2066'],
  ['DEL and C1', '\u007f\u0085\u0084'],
])('%s: nothing of it passes, and what follows does', (_, text) => {
  expect(through(`${text}after`)).toBe('after');
});

test('wherever it is cut: the same', () => {
  const text = 'a\u001b]52;c;cm0=\u001b\\b\u001b[1mc\u001b[6nd\u001bP1$r\u001b\\e\u009dt\u009cf';
  for (let at = 0; at <= text.length; at += 1) {
    const filter = new EscapeFilter();
    expect(filter.filter(text.slice(0, at)) + filter.filter(text.slice(at))).toBe('ab\u001b[1mcdef');
  }
});

test('a string that never ends hides 4 KiB at most, and an aborted sequence nothing', () => {
  expect(through(`\u001b]0;${'x'.repeat(5_000)}`)).toMatch(/^x{800,1000}$/);
  expect(through('\u001b]0;title\u0018shown\u001b[12\u001b[1mbold\u001b[\u001aend')).toBe('shown\u001b[1mboldend');
});

test('whatever comes, nothing passes that is not on the list', () => {
  let seed = 7;
  const random = (most: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed % most;
  };
  const alphabet = [
    '\u001b',
    '[',
    ']',
    '?',
    ';',
    'P',
    'c',
    'n',
    'h',
    '1',
    '5',
    '2',
    '\u009b',
    '\u009d',
    '\u0007',
    '\\',
    '$',
    'p',
    'x',
    '>',
  ];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
  const harmful = /\x1b[\]P_^XZc=>]|\x1b\[[^@-~]*[cntxi]|[\x05\x80-\x9f]/;
  for (let round = 0; round < 10_000; round += 1) {
    const text = Array.from({ length: 24 }, () => alphabet[random(alphabet.length)]).join('');
    expect(through(text), JSON.stringify(text)).not.toMatch(harmful);
  }
});
