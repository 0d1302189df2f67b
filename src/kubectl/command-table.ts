import { visibilities } from '../api/debug-session.ts';
import type { Flag } from './command-line.ts';

export interface Verb {
  readonly name: string;
  /** Behind `kubectl crashcart`. */
  readonly synopsis: string;
  readonly summary: string;
  readonly details?: readonly string[];
  readonly flags: readonly Flag[];
  /** Pairs of what it does and what to type. */
  readonly examples: ReadonlyArray<readonly [string, string]>;
  /** Most positionals that it takes. */
  readonly most: number;
  readonly hidden?: boolean;
}

const namespaceFlag: Flag = {
  name: 'namespace',
  short: 'n',
  value: 'NAMESPACE',
  help: 'namespace of the pod or session',
};
const helpFlag: Flag = { name: 'help', short: 'h', help: 'this help' };

/** Those of kubectl, with the same names and meanings; taken by every verb. */
export const connectionFlags: readonly Flag[] = [
  { name: 'kubeconfig', value: 'FILE', help: 'kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' },
  { name: 'context', value: 'NAME', help: 'context of the kubeconfig' },
  { name: 'cluster', value: 'NAME', help: 'cluster of the kubeconfig' },
  { name: 'user', value: 'NAME', help: "user of the kubeconfig (the shell's own user is --uid)" },
  { name: 'as', value: 'USER', help: 'act as this user (impersonation)' },
  { name: 'as-group', value: 'GROUP', many: true, help: 'act as a member of this group; may be repeated' },
  { name: 'as-uid', value: 'UID', help: 'act with this uid' },
  { name: 'as-user-extra', value: 'KEY=VALUE', many: true, help: 'act with this extra; may be repeated' },
  { name: 'request-timeout', value: 'DURATION', help: 'longest wait for one answer of the API server (default 30s)' },
  { name: 'server', short: 's', value: 'URL', help: 'address of the API server' },
  { name: 'token', value: 'TOKEN', help: 'bearer token for the API server' },
  { name: 'client-certificate', value: 'FILE', help: 'certificate to prove who you are' },
  { name: 'client-key', value: 'FILE', help: 'its key' },
  { name: 'username', value: 'NAME', help: 'name for basic authentication' },
  { name: 'password', value: 'PASSWORD', help: 'password for basic authentication' },
  { name: 'proxy-url', value: 'URL', help: 'proxy to the API server: http, https or socks5' },
  { name: 'certificate-authority', value: 'FILE', help: 'certificates that the API server is checked against' },
  { name: 'tls-server-name', value: 'NAME', help: "name in the API server's certificate" },
  { name: 'insecure-skip-tls-verify', help: "do not check the API server's certificate" },
];

export const commonFlags: readonly Flag[] = [namespaceFlag, helpFlag];

const escapeFlag: Flag = {
  name: 'escape',
  value: 'KEY',
  help: 'key of the escape sequence on a terminal: KEY . leaves, KEY ? helps (default ^], none: off)',
};

const open: Verb = {
  name: '',
  synopsis: 'TARGET [-c CONTAINER] [flags] [-- COMMAND [ARG...]]',
  summary: 'Open a shell with tools inside a running container, or run one command there.',
  most: 1,
  details: [
    'TARGET is NAME or pod/NAME, or one of deploy/, statefulset/, daemonset/, replicaset/, job/, svc/ with a name: then the',
    'ready pod that started last is taken, and named on standard error.',
    '',
    'Without a command: a shell. On a terminal it is interactive; otherwise it reads a script from standard input.',
    'With a command: no terminal unless -t is given. Standard output and standard error stay apart, every byte as it is, and the',
    'exit code is that of the command. Standard input is passed on with -i, and also without it when it is a pipe or a file:',
    'inside a "while read" loop write --stdin=false, or </dev/null.',
    'Ctrl-C ends a command that has no terminal, with its session; with a terminal it goes to the command.',
    'On a terminal, Ctrl-] . leaves a session that goes on, and Ctrl-] ? shows what else there is. A connection that is lost comes back by itself.',
  ],
  flags: [
    {
      name: 'container',
      short: 'c',
      value: 'CONTAINER',
      help: "container of the pod (default: the pod's default or only one)",
    },
    { name: 'stdin', short: 'i', help: 'pass standard input on' },
    { name: 'tty', short: 't', help: 'give the command a terminal (implies --stdin)' },
    { name: 'toolbox', value: 'NAME', help: 'toolbox that the nodes carry' },
    {
      name: 'profile',
      value: 'NAME',
      help: 'what the session may do: a DebugProfile of the cluster (default general)',
    },
    { name: 'reason', value: 'TEXT', help: 'why you look, for the record; some profiles require it' },
    { name: 'uid', value: 'UID', help: "numeric user id (default: the container's)" },
    { name: 'gid', value: 'GID', help: "numeric group id (default: the container's)" },
    {
      name: 'visibility',
      value: 'WHO',
      choices: visibilities,
      help: 'who sees the toolbox',
    },
    { name: 'max-duration', value: 'DURATION', help: 'end the session after this time, as 1h30m' },
    { name: 'idle-timeout', value: 'DURATION', help: 'end the session when nobody uses it for this time' },
    { name: 'detach-grace', value: 'DURATION', help: 'end the session when its last client has left it for this time' },
    escapeFlag,
    { name: 'rm', help: 'delete the DebugSession object afterwards instead of keeping it as a record' },
  ],
  examples: [
    ['A shell in a pod', 'kubectl crashcart pod/web-0'],
    ['In one of its containers, in another namespace', 'kubectl crashcart web-0 -c proxy -n shop'],
    ['In a ready pod of a deployment', 'kubectl crashcart deploy/web'],
    ['One command; its exit code is ours', 'kubectl crashcart web-0 -- ls -l /proc/1/fd'],
    ['One command that needs a terminal', 'kubectl crashcart web-0 -t -- top'],
    ['A file into the container', 'kubectl crashcart web-0 -- dd of=/tmp/app.conf < app.conf'],
    ['As another user, for ten minutes at most', 'kubectl crashcart web-0 --uid 1000 --gid 1000 --max-duration 10m'],
  ],
};

const attach: Verb = {
  name: 'attach',
  synopsis: 'attach SESSION [--watch] [-n NAMESPACE]',
  summary: 'Attach to a session that runs: one of "kubectl apply", or one whose connection was lost.',
  details: [
    'The last 256 KiB of its output come first. Ctrl-C detaches from a session without a terminal; the command goes on.',
  ],
  most: 1,
  flags: [
    { name: 'stdin', short: 'i', help: 'pass standard input on (default: as the session was made)' },
    { name: 'watch', short: 'w', help: 'only read along: type nothing, change no window, disturb nobody' },
    escapeFlag,
  ],
  examples: [
    ['Back to a session', 'kubectl crashcart attach web-0-x7k2p -n shop'],
    ["Over a colleague's shoulder", 'kubectl crashcart attach web-0-x7k2p -n shop --watch'],
  ],
};

const logs: Verb = {
  name: 'logs',
  synopsis: 'logs SESSION [-f] [-n NAMESPACE]',
  summary: 'Print what a session has written, without attaching to it.',
  details: [
    'The node keeps the last 256 KiB of each session, until ten minutes after its end. Standard output and standard error stay apart. It',
    'only reads along: whoever is attached is not disturbed. The exit code is about the reading; the command\'s own is in "ls -o wide".',
  ],
  most: 1,
  flags: [{ name: 'follow', short: 'f', help: 'go on until the session ends' }],
  examples: [
    ['What a command that ran unattended has written', 'kubectl crashcart logs web-0-x7k2p'],
    ['And what it goes on to write', 'kubectl crashcart logs web-0-x7k2p -f'],
  ],
};

const ls: Verb = {
  name: 'ls',
  synopsis: 'ls [-n NAMESPACE | -A] [-o wide|json|yaml|name]',
  summary: 'List sessions.',
  most: 0,
  flags: [
    { name: 'all-namespaces', short: 'A', help: 'of all namespaces' },
    {
      name: 'output',
      short: 'o',
      value: 'FORMAT',
      choices: ['wide', 'json', 'yaml', 'name'],
      help: 'wide, json, yaml or name',
    },
  ],
  examples: [
    ['Sessions of the namespace', 'kubectl crashcart ls'],
    ['Everywhere, with how they ended', 'kubectl crashcart ls -A -o wide'],
  ],
};

const extend: Verb = {
  name: 'extend',
  synopsis: 'extend SESSION [--by DURATION | --until TIME] [-n NAMESPACE]',
  summary: 'Give a session more time before its longest duration ends it.',
  details: [
    "Within the bound of its profile, and of 24 hours. Without --by and --until it is half an hour more. One's own sessions; those of others with",
    'the right "create debugsessions/attachothers". Whoever is attached is told.',
  ],
  most: 1,
  flags: [
    { name: 'by', value: 'DURATION', help: 'so much longer than it may last now (default 30m)' },
    { name: 'until', value: 'TIME', help: 'until then, as 18:30 here or 2027-01-31T18:30:00Z' },
  ],
  examples: [
    ['An hour more', 'kubectl crashcart extend web-0-x7k2p --by 1h'],
    ['Until half past six', 'kubectl crashcart extend web-0-x7k2p -n shop --until 18:30'],
  ],
};

const rm: Verb = {
  name: 'rm',
  synopsis: 'rm SESSION... [-n NAMESPACE]',
  summary: 'End sessions and delete their records.',
  details: ['Returns when the node has proven that nothing of them is left; --wait=false returns at once.'],
  most: 1000,
  flags: [
    { name: 'all', help: 'all sessions of the namespace' },
    { name: 'wait', help: 'wait until they are gone (default true)' },
  ],
  examples: [
    ['One session', 'kubectl crashcart rm web-0-x7k2p'],
    ['All of a namespace', 'kubectl crashcart rm --all -n shop'],
  ],
};

const doctor: Verb = {
  name: 'doctor',
  synopsis: 'doctor [-n NAMESPACE] [-o json|yaml]',
  summary: 'Look for what keeps Crashcart from working, and say what to do about it.',
  most: 0,
  details: [
    'Checks this program, the cluster, your rights in the namespace, the attach API and its certificates, the controller, the',
    'admission policy, and on each node agent, kernel and runtime. It changes nothing and needs no right of its own: what you may',
    'not read is "unknown", which is no fault. The exit code is 1 when there is a fault.',
  ],
  flags: [{ name: 'output', short: 'o', value: 'FORMAT', choices: ['json', 'yaml'], help: 'json or yaml' }],
  examples: [
    ['Everything', 'kubectl crashcart doctor'],
    ['What another user would meet', 'kubectl crashcart doctor -n shop --as jane'],
  ],
};

const replay: Verb = {
  name: 'replay',
  synopsis: 'replay SESSION [-n NAMESPACE] [--speed N] [--max-idle DURATION] [--raw] [--markers] [-o FILE]',
  summary: 'Play the recording of a session.',
  details: [
    'Space pauses, the right arrow skips five seconds, + and - change the speed, q ends. Into a pipe or a file it comes at once.',
    'Control sequences that could harm the one who looks (clipboard, title, answers of the terminal) are left out; --raw shows all.',
    'It needs the right "get debugsessions/recording", which the role crashcart-auditor has.',
  ],
  most: 1,
  flags: [
    { name: 'speed', value: 'N', help: 'times faster than it was (default 1)' },
    { name: 'max-idle', value: 'DURATION', help: 'longest pause (default 2s; 0 keeps all)' },
    { name: 'raw', help: 'do not filter control sequences: for recordings that you trust as your own shell' },
    { name: 'markers', help: 'only list who attached and detached, and when' },
    { name: 'output', short: 'o', value: 'FILE', help: 'write the asciicast v2 file there instead of playing it' },
  ],
  examples: [
    ['Twice as fast', 'kubectl crashcart replay web-0-x7k2p -n shop --speed 2'],
    ['Keep it, for any asciicast player', 'kubectl crashcart replay web-0-x7k2p -o session.cast'],
  ],
};

const version: Verb = {
  name: 'version',
  synopsis: 'version [--client] [-o json|yaml]',
  summary: 'Print the version of this program, and what the cluster offers.',
  most: 0,
  flags: [
    { name: 'client', help: 'only of this program; no cluster is asked' },
    { name: 'output', short: 'o', value: 'FORMAT', choices: ['json', 'yaml'], help: 'json or yaml' },
  ],
  examples: [['Without a cluster', 'kubectl crashcart version --client']],
};

const completion: Verb = {
  name: 'completion',
  synopsis: 'completion bash|zsh|fish|kubectl',
  summary: 'Print a script for shell completion.',
  details: [
    'bash, zsh and fish complete the program kubectl-crashcart. "kubectl" prints the small script kubectl_complete-crashcart, which makes',
    'kubectl (1.26 and newer) complete "kubectl crashcart": put it on PATH, executable.',
  ],
  most: 1,
  flags: [],
  examples: [
    ['In ~/.bashrc', 'source <(kubectl crashcart completion bash)'],
    [
      'For kubectl itself',
      'kubectl crashcart completion kubectl > ~/bin/kubectl_complete-crashcart && chmod +x ~/bin/kubectl_complete-crashcart',
    ],
  ],
};

const help: Verb = {
  name: 'help',
  synopsis: 'help [VERB]',
  summary: 'Print the help of a verb.',
  most: 1,
  flags: [],
  examples: [],
};

export const verbs = {
  open,
  attach,
  logs,
  ls,
  extend,
  rm,
  replay,
  doctor,
  version,
  completion,
  help,
} as const satisfies Record<string, Verb>;
export type VerbName = keyof typeof verbs;

const isVerb = (word: string | undefined): word is Exclude<VerbName, 'open'> =>
  word !== undefined && word !== 'open' && Object.hasOwn(verbs, word);

/** The verb that a first positional names; everything else is a target to open. A pod called `ls` is `pod/ls`. */
export const verbOf = (word: string | undefined): VerbName => (isVerb(word) ? word : 'open');

/** Every flag of every verb: verbs and flags may come in any order, so the words are taken apart before the verb is known. */
export const allFlags = (): readonly Flag[] => {
  const byName = new Map<string, Flag>();
  for (const flag of [
    ...commonFlags,
    ...connectionFlags,
    ...Object.values<Verb>(verbs).flatMap((verb) => verb.flags),
  ]) {
    const { choices: _, ...rest } = flag;
    byName.set(flag.name, byName.has(flag.name) ? rest : flag);
  }
  return [...byName.values()];
};
