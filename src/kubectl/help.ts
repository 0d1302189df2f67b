import type { Flag } from './command-line.ts';
import { commonFlags, connectionFlags, type Verb, verbs } from './command-table.ts';

export function helpOf(verb: Verb): string {
  const own = [...verb.flags, ...commonFlags];
  const lines = [
    verb.summary,
    '',
    'Usage:',
    `  kubectl crashcart ${verb.synopsis}`,
    ...(verb.details ? ['', ...verb.details] : []),
    ...(verb === verbs.open ? ['', 'Other verbs:', ...otherVerbs()] : []),
    ...(verb.examples.length > 0 ? ['', 'Examples:', ...verb.examples.flatMap(exampleLines)] : []),
    '',
    'Flags:',
    ...flagLines(own),
    '',
    'Connection (as kubectl has them):',
    ...flagLines(connectionFlags),
  ];
  return `${lines.join('\n')}\n`;
}

const exampleLines = ([what, type]: readonly [string, string]): readonly string[] => [`  # ${what}`, `  ${type}`];

function otherVerbs(): readonly string[] {
  const listed = Object.values<Verb>(verbs).filter((verb) => verb.name !== '');
  return listed.map((verb) => `  ${verb.name.padEnd(12)}${verb.summary}`);
}

function flagLines(flags: readonly Flag[]): readonly string[] {
  const heads = flags.map(headOf);
  const width = Math.max(...heads.map((head) => head.length)) + 2;
  return flags.map((flag, at) => `${(heads[at] ?? '').padEnd(width)}${flag.help}${choicesOf(flag)}`);
}

const headOf = (flag: Flag): string =>
  `  ${flag.short ? `-${flag.short}, ` : '    '}--${flag.name}${flag.value ? ` ${flag.value}` : ''}`;

const choicesOf = (flag: Flag): string =>
  flag.choices && !flag.help.includes(flag.choices[0] ?? '') ? `: ${flag.choices.join(', ')}` : '';
