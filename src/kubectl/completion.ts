import { usage } from './command-line.ts';
import type { Run } from './invocation.ts';

/** All of them ask `kubectl-crashcart __complete WORDS…`, which answers in the form of kubectl's own completions. */
const scripts: Readonly<Record<string, string>> = {
  bash: `# bash completion for kubectl-crashcart
_kubectl_crashcart() {
    local cur="\${COMP_WORDS[COMP_CWORD]}" line
    COMPREPLY=()
    while IFS= read -r line; do
        case "$line" in
        :*) [ "$line" = :6 ] && compopt -o nospace ;;
        *) line="\${line%%$'\\t'*}"; [[ "$line" == "$cur"* ]] && COMPREPLY+=("$line") ;;
        esac
    done < <(kubectl-crashcart __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _kubectl_crashcart kubectl-crashcart
`,
  zsh: `#compdef kubectl-crashcart
_kubectl_crashcart() {
    local line directive
    local -a described
    while IFS= read -r line; do
        case "$line" in
        :*) directive="\${line#:}" ;;
        *) described+=("\${\${line%%$'\\t'*}//:/\\\\:}\${\${line#*$'\\t'}:+:\${line#*$'\\t'}}") ;;
        esac
    done < <(kubectl-crashcart __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)
    if [ "$directive" = 6 ]; then _describe crashcart described -S ''; else _describe crashcart described; fi
}
compdef _kubectl_crashcart kubectl-crashcart
`,
  fish: `# fish completion for kubectl-crashcart
function __kubectl_crashcart
    set -l words (commandline -opc) (commandline -ct)
    kubectl-crashcart __complete $words[2..-1] 2>/dev/null | string match -v ':*'
end
complete -c kubectl-crashcart -f -a '(__kubectl_crashcart)'
`,
  kubectl: `#!/bin/sh
# kubectl_complete-crashcart: kubectl (1.26 and newer) runs this to complete "kubectl crashcart".
exec kubectl-crashcart __complete "$@"
`,
};

export const completion: Run = async ({ line, host }) => {
  const script = scripts[line.positionals[0] ?? ''];
  if (!script) throw usage(`name a shell: kubectl crashcart completion ${Object.keys(scripts).join('|')}`);
  host.stdout.write(script);
  return 0;
};
