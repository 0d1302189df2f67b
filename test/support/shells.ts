import { dirname } from 'node:path';
import { Terminal, type TerminalOptions } from './terminal.ts';

export interface InteractiveShell {
  readonly name: 'bash' | 'zsh' | 'fish';
  /** Without anybody's own settings. */
  readonly argv: readonly string[];
  /** How a person switches the completion of a program on, by the script that it prints. */
  readonly source: (script: string) => string;
}

/** The shells that there are scripts of completion for. */
export const shells: readonly InteractiveShell[] = [
  { name: 'bash', argv: ['--norc', '--noprofile', '-i'], source: (script) => `source <(${script})` },
  {
    name: 'zsh',
    argv: ['-f', '-i'],
    source: (script) => `autoload -U compinit && compinit -D -u && source <(${script})`,
  },
  { name: 'fish', argv: ['--no-config'], source: (script) => `${script} | source` },
];

/** Prints a word that its own echo on the command line does not look like. */
const mark = 'echo "MA""RK"';
const startOfLine = '\u0001';

/** A person at a prompt of this shell, with `program` on PATH and its completion switched on. */
export async function promptOf(
  shell: InteractiveShell,
  program: string,
  options: TerminalOptions = {},
): Promise<Terminal> {
  const env = { ...options.env, PATH: `${dirname(program)}:${process.env['PATH']}`, HOME: '/nonexistent' };
  const terminal = new Terminal(`/usr/bin/${shell.name}`, shell.argv, { ...options, env, cols: 200 });
  terminal.enter(mark);
  await terminal.expect(/MARK/, 20_000);
  terminal.enter(`${shell.source(`${program} completion ${shell.name}`)} && ${mark}`);
  await terminal.expect(/MARK/, 20_000);
  return terminal;
}

/** The words that are on the command line after `typed`, the tab key, and an x: the shell itself says them. */
export async function completed(terminal: Terminal, typed: string): Promise<string> {
  terminal.type(`${typed}\tx${startOfLine}${mark} `);
  terminal.enter('');
  const [, words = ''] = await terminal.expect(/MARK ([^\r\n]*)[\r\n]/, 20_000);
  return words;
}
