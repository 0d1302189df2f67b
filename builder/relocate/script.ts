import { prefix } from './patch.ts';

/** What Debian's scripts name, and the command of the toolbox that runs them. */
const interpreters: Readonly<Record<string, string>> = {
  sh: 'sh',
  dash: 'sh',
  bash: 'bash',
  perl: 'perl',
  python3: 'python3',
  'python3.13': 'python3',
  bpftrace: 'bpftrace',
};

const path = `PATH=${prefix}/bin:${prefix}/sbin\${PATH:+:$PATH}; export PATH`;

/**
 * A script that is run by the toolbox's own interpreter, and, if it is one for a shell, finds the toolbox's commands before others.
 * Throws an Error for an interpreter that the toolbox does not know.
 */
export function relocatedScript(content: Buffer, interpreter: string): Buffer {
  const text = content.toString('latin1');
  const end = text.indexOf('\n');
  const words = interpreter.split(/\s+/);
  const named = words[0]?.endsWith('/env') ? words.slice(1) : words;
  const name = (named[0] ?? '').replace(/^.*\//, '');
  const known = Object.hasOwn(interpreters, name) ? interpreters[name] : undefined;
  if (known === undefined) throw new Error(`it is run by ${interpreter}, which the toolbox does not have`);
  const first = `#!${[`${prefix}/bin/${known}`, ...argumentsOf(known, named.slice(1))].join(' ')}\n`;
  const isShell = known === 'sh' || known === 'bash';
  const body = text
    .slice(end < 0 ? text.length : end + 1)
    .replace(/^(\s*(?:export\s+)?PATH=["']?)(?=\/)/gm, `$1${prefix}/bin:${prefix}/sbin:`)
    .replaceAll('#!/usr/bin/perl', `#!${prefix}/bin/perl`)
    .replace(
      /(^|[\s"'`=(|;&])\/(usr\/)?bin\/(sh|bash|perl|python3|cat|grep|sed|rm|mktemp|env)\b/gm,
      `$1${prefix}/bin/$3`,
    );
  return Buffer.from(`${first}${isShell ? `${path}\n` : ''}${body}`, 'latin1');
}

/** The kernel passes one argument. With -p bash reads neither BASH_ENV nor functions out of the container's environment. */
function argumentsOf(interpreter: string, given: readonly string[]): string[] {
  if (interpreter !== 'bash') return given.slice(0, 1);
  const letters = /^-([a-z]+)$/.exec(given[0] ?? '')?.[1] ?? '';
  return [`-p${letters}`];
}
