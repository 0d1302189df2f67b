import { expect, test } from 'vitest';
import { ModeTracker } from './terminal-modes.ts';

function undoAfter(...chunks: string[]): string {
  const tracker = new ModeTracker();
  for (const chunk of chunks) tracker.saw(Buffer.from(chunk));
  return tracker.undo();
}

test('what a program switched on is switched off again', () => {
  expect(undoAfter('\x1b[?1049h', 'text', '\x1b[?25l\x1b[?1000;1006h')).toBe(
    '\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1006l\x1b[0m',
  );
});

test('what it switched off itself is left alone', () => {
  expect(undoAfter('\x1b[?1049h\x1b[?2004h', '\x1b[?2004l\x1b[?1049l')).toBe('');
});

test('a sequence that is cut between two chunks is understood', () => {
  expect(undoAfter('abc\x1b[?10', '49hdef')).toBe('\x1b[?1049l\x1b[0m');
  expect(undoAfter('abc\x1b', '[?2004h')).toBe('\x1b[?2004l\x1b[0m');
});

test('plain output and other modes need no undoing', () => {
  expect(undoAfter('plain', '\x1b[31mred\x1b[0m', '\x1b[?7l', '\x1b[?12h')).toBe('');
});
