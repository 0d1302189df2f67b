import { profiles } from '../api/debug-session.ts';

export interface Option {
  readonly name: string;
  readonly short?: string;
  /** What the help calls its value; left out: a switch. */
  readonly value?: string;
  /** May be given more than once. */
  readonly many?: boolean;
  readonly choices?: readonly string[];
  readonly help: string;
}

export interface Verb {
  readonly name: string;
  readonly synopsis: string;
  readonly help: string;
}

export const runtimeNames = ['docker', 'podman', 'containerd', 'cri', 'pid'] as const;

/** The first block are the original's words, with the original's meaning. */
export const options: readonly Option[] = [
  { name: 'exec', short: 'e', help: "run the command through the runtime's own exec (docker exec and the like)" },
  {
    name: 'mount',
    short: 'm',
    help: 'show the toolbox to the container until it is taken out with -u, and run nothing',
  },
  { name: 'unmount', short: 'u', help: 'take the toolbox out of the container' },
  {
    name: 'image',
    short: 'i',
    value: 'FILE|NAME',
    help: 'toolbox image: a file, or a name of one that is installed (default: default)',
  },
  { name: 'verbose', short: 'v', many: true, help: 'say what is done, on standard error' },
  { name: 'version', short: 'V', help: 'print the version' },
  { name: 'help', short: 'h', help: 'print this help' },
  { name: 'user', value: 'UID[:GID]', help: "user and group of the command, as numbers (default: the container's)" },
  { name: 'profile', value: 'NAME', choices: profiles, help: 'what the session may do (default: general)' },
  { name: 'cap', value: 'NAME', many: true, help: 'give the session one capability more, such as NET_ADMIN' },
  { name: 'private', help: 'show the toolbox to this session only; the container does not see it' },
  {
    name: 'runtime',
    value: 'NAME[=SOCKET]',
    many: true,
    help: `ask this runtime only: ${runtimeNames.join(', ')}; with its socket, where that is not at its usual place`,
  },
  { name: 'print', help: 'with run: print the command line instead of running it' },
  { name: 'json', help: 'with ps and doctor: print JSON' },
];

/** Words that stand in the place of ID. A container of such a name is reached by its id, or behind `--`. */
export const verbs: readonly Verb[] = [
  { name: 'ps', synopsis: 'ps', help: 'list where the toolbox is, and who uses it' },
  { name: 'run', synopsis: 'run ARG…', help: 'start a new container with the toolbox in it: docker run -v … ARG…' },
  { name: 'doctor', synopsis: 'doctor', help: 'say what works on this node, and why something does not' },
  { name: 'completion', synopsis: 'completion bash|zsh|fish', help: 'print a script for shell completion' },
];
