import { expect, test } from 'vitest';
import { Terminal } from './terminal.ts';

test('a program sees a terminal, and its answer and exit code are seen', async () => {
  using terminal = new Terminal('/bin/sh', ['-c', 'tty; read line; echo "got $line"; stty size; exit 7'], {
    cols: 91,
    rows: 17,
  });
  await terminal.expect(/\/dev\/pts\/\d+/);
  terminal.enter('hello');
  await terminal.expect(/got hello/);
  await terminal.expect(/17 91/);
  expect(await terminal.exit()).toBe(7);
});

test('waiting for what never comes fails with what was written instead', async () => {
  using terminal = new Terminal('/bin/sh', ['-c', 'echo something else; sleep 5']);
  await expect(terminal.expect(/never/, 300)).rejects.toThrow(/something else/);
});
