import { usage } from './command-line.ts';
import { type Option, options, verbs } from './command-table.ts';

/** Words only: what containers there are takes root to know, and a completion must not ask for a password. */
export function completionScript(words: readonly string[]): string {
  const [shell = '', more] = words;
  const script = scripts[shell];
  if (script === undefined || more !== undefined)
    throw usage(`name a shell: crashcart completion ${Object.keys(scripts).join('|')}`);
  return script();
}

const scripts: Readonly<Record<string, () => string>> = { bash, zsh, fish };

const spellings = ({ name, short }: Option): string[] => [...(short ? [`-${short}`] : []), `--${name}`];
const withValue = options.filter(({ value }) => value !== undefined);

function bash(): string {
  const cases = options.flatMap((option) =>
    option.choices
      ? [
          `    ${spellings(option).join('|')}) COMPREPLY=($(compgen -W '${option.choices.join(' ')}' -- "$cur")); return ;;`,
        ]
      : [],
  );
  return `# bash completion for crashcart
_crashcart() {
    local cur="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" word at
    COMPREPLY=()
    case "$previous" in
${cases.join('\n')}
    -i|--image) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    ${withValue.flatMap(spellings).join('|')}) return ;;
    esac
    for ((at = 1; at < COMP_CWORD; at++)); do
        word="\${COMP_WORDS[at]}"
        case "$word" in
        completion) COMPREPLY=($(compgen -W '${Object.keys(scripts).join(' ')}' -- "$cur")); return ;;
        ${withValue.flatMap(spellings).join('|')}) ((at++)) ;;
        -*) ;;
        *) COMPREPLY=($(compgen -c -- "$cur")); return ;;
        esac
    done
    if [[ "$cur" == -* ]]; then
        COMPREPLY=($(compgen -W '${options.flatMap(spellings).join(' ')}' -- "$cur"))
    else
        COMPREPLY=($(compgen -W '${verbs.map(({ name }) => name).join(' ')} k8s' -- "$cur"))
        if command -v docker >/dev/null; then
            COMPREPLY+=($(compgen -W "$(docker ps --format '{{.Names}}' 2>/dev/null)" -- "$cur"))
        fi
    fi
}
complete -F _crashcart crashcart
`;
}

function zsh(): string {
  const lines = options.map((option) => {
    const action = option.value === undefined ? '' : `:${option.value}:${actionOf(option)}`;
    const many = option.many ? '*' : '';
    return spellings(option)
      .map((spelling) => `        '${many}${spelling}[${quoted(option.help)}]${action.replace(/'/g, '')}' \\`)
      .join('\n');
  });
  const described = verbs.map(({ name, help }) => `'${name}:${quoted(help)}'`);
  return `#compdef crashcart
_crashcart_ids() {
    local -a verbs names
    verbs=(${described.join(' ')})
    names=(\${(f)"$(docker ps --format '{{.Names}}' 2>/dev/null)"})
    _describe verb verbs
    compadd -a names
}
_crashcart() {
    _arguments -S \\
${lines.join('\n')}
        '1:ID or verb:_crashcart_ids' \\
        '*::command:_normal'
}
compdef _crashcart crashcart
`;
}

const quoted = (text: string): string => text.replace(/'/g, '').replace(/([[\]:])/g, '\\$1');

function actionOf({ name, choices }: Option): string {
  if (choices) return `(${choices.join(' ')})`;
  return name === 'image' ? '_files' : '';
}

function fish(): string {
  const lines = options.map(({ name, short, value, choices, help }) =>
    [
      'complete -c crashcart',
      ...(short ? [`-s ${short}`] : []),
      `-l ${name}`,
      ...(value === undefined ? [] : [name === 'image' ? '-r' : '-x']),
      ...(choices ? [`-a '${choices.join(' ')}'`] : []),
      `-d '${help.replace(/'/g, "\\'")}'`,
    ].join(' '),
  );
  const words = verbs.map(
    ({ name, help }) =>
      `complete -c crashcart -n __fish_use_subcommand -f -a ${name} -d '${help.replace(/'/g, "\\'")}'`,
  );
  return `# fish completion for crashcart
${lines.join('\n')}
${words.join('\n')}
complete -c crashcart -n __fish_use_subcommand -f -a '(docker ps --format "{{.Names}}" 2>/dev/null)'
complete -c crashcart -n '__fish_seen_subcommand_from completion' -f -a '${Object.keys(scripts).join(' ')}'
`;
}
