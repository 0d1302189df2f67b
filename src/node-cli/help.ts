import { type Option, options, verbs } from './command-table.ts';

export function helpText(): string {
  return `Put a toolbox of debugging programs into a running container, and open a shell there.

Usage:
  crashcart [options] ID [COMMAND [ARG...]]   a shell (or one command) inside the container
  crashcart -m ID                             show the toolbox to the container, at /dev/crashcart
  crashcart -u ID                             take it out again
${verbs.map(({ synopsis, help }) => `  crashcart [options] ${synopsis.padEnd(26)}${help}`).join('\n')}

ID is one of:
  the id of a container of docker, podman, containerd (any namespace) or CRI-O, or enough of its start
  the name of a container or pod
  k8s NAMESPACE/POD[/CONTAINER]
  the pid of any process inside a container

Options:
${optionLines().join('\n')}

Examples:
  crashcart web                                     a shell in the container web
  crashcart web tcpdump -ni any port 80             one command; its exit code is ours
  crashcart --private --user 0 4f2a                 as root, unseen by the container
  crashcart k8s shop/web-0/proxy                    in a container of a pod
  crashcart -m web && docker exec -it web /dev/crashcart/bin/ps
  crashcart run --rm -it alpine                     a new container with the toolbox

crashcart runs as root. Exit codes: the command's own, 128+N when signal N ended it, 125 when crashcart failed, 2 for a wrong
command line. The manual: crashcart(8).
`;
}

function optionLines(): string[] {
  const heads = options.map(headOf);
  const width = Math.max(...heads.map((head) => head.length)) + 2;
  return options.map((option, at) => `${(heads[at] ?? '').padEnd(width)}${option.help}${choicesOf(option)}`);
}

const headOf = ({ name, short, value }: Option): string =>
  `  ${short ? `-${short}, ` : '    '}--${name}${value ? ` ${value}` : ''}`;

const choicesOf = ({ choices }: Option): string => (choices ? `: ${choices.join(', ')}` : '');
