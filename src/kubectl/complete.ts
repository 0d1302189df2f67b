import { apiVersion, profilePlural } from '../api/names.ts';
import { type CommandLine, type Flag, parseCommandLine } from './command-line.ts';
import { allFlags, commonFlags, connectionFlags, type Verb, verbOf, verbs } from './command-table.ts';
import type { Host } from './host.ts';
import { apiOf } from './invocation.ts';
import { listSessions } from './sessions-api.ts';
import { workloadKinds } from './target.ts';

/** Cobra's directives, which kubectl understands: 4 no file names, 2 no space after it. */
const noFiles = ':4';
const noFilesNoSpace = ':6';
/** A shell waits for us at every press of the tab key. */
const patience = '3s';

/**
 * `__complete WORDS… PREFIX`: candidates, one a line, a tab and a description behind it, and the directive at last. Never an
 * error: a cluster that does not answer completes nothing.
 */
export async function complete(words: readonly string[], host: Host): Promise<number> {
  const candidates = await candidatesOf(words, host).catch(() => []);
  const prefix = words.at(-1) ?? '';
  const fitting = candidates.filter((each) => each.startsWith(prefix));
  const open = fitting.length > 0 && fitting.every((each) => each.endsWith('/'));
  host.stdout.write([...fitting, open ? noFilesNoSpace : noFiles, ''].join('\n'));
  return 0;
}

async function candidatesOf(words: readonly string[], host: Host): Promise<readonly string[]> {
  if (words.slice(0, -1).includes('--')) return [];
  const prefix = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const pending = pendingFlag(before);
  const line = parseCommandLine(
    [...(pending ? before.slice(0, -1) : before), '--request-timeout', patience],
    allFlags(),
  );
  const name = verbOf(line.positionals[0]);
  const asked = name === 'open' ? line : line.shift();
  const verb: Verb = verbs[name];
  if (pending) return valuesOf(pending, verb, asked, host);
  if (prefix.startsWith('-')) return flagWords(verb);
  if (name === 'completion') return ['bash', 'zsh', 'fish', 'kubectl'];
  if (name === 'help') return verbWords();
  if (asked.positionals.length >= verb.most) return [];
  if (ofSessions.has(name)) return sessionNames(asked, host);
  return [
    ...(prefix.includes('/') ? [] : [...verbWords(), ...kindWords()]),
    ...(await targets(prefix, asked, host).catch(() => [])),
  ];
}

const ofSessions: ReadonlySet<string> = new Set(['attach', 'logs', 'extend', 'rm', 'replay']);

/** The flag whose value is being typed. */
function pendingFlag(before: readonly string[]): Flag | undefined {
  const last = before.at(-1) ?? '';
  const flag = allFlags().find((each) => last === `--${each.name}` || (each.short && last === `-${each.short}`));
  return flag?.value === undefined ? undefined : flag;
}

const verbWords = (): readonly string[] =>
  Object.values<Verb>(verbs).flatMap(({ name }) => (name === '' ? [] : [name]));
const kindWords = (): readonly string[] => [
  'pod/',
  ...Object.values(workloadKinds).map(({ spellings }) => `${spellings[0]}/`),
];
const flagWords = (verb: Verb): readonly string[] =>
  [...verb.flags, ...commonFlags, ...connectionFlags].map(({ name }) => `--${name}`);

async function valuesOf(flag: Flag, verb: Verb, line: CommandLine, host: Host): Promise<readonly string[]> {
  if (flag.name === 'namespace') return names('/api/v1/namespaces', line, host);
  if (flag.name === 'container') return containers(line, host);
  if (flag.name === 'profile') return names(`/apis/${apiVersion}/${profilePlural}`, line, host);
  return verb.flags.find(({ name }) => name === flag.name)?.choices ?? [];
}

async function sessionNames(line: CommandLine, host: Host): Promise<readonly string[]> {
  const api = apiOf({ line, host });
  try {
    return (await listSessions(api, api.connection.namespace)).map(({ metadata }) => metadata.name);
  } finally {
    await api.close();
  }
}

/** Pods by their bare name, or what stands behind `deploy/`. */
async function targets(prefix: string, line: CommandLine, host: Host): Promise<readonly string[]> {
  const [kind, rest] = prefix.includes('/') ? [prefix.slice(0, prefix.indexOf('/')), prefix] : ['pod', undefined];
  const found = Object.entries(workloadKinds).find(([, { spellings }]) =>
    (spellings as readonly string[]).includes(kind),
  );
  const root = found ? `${found[1].api}/namespaces/{}/${found[0]}` : '/api/v1/namespaces/{}/pods';
  const listed = await names(root, line, host);
  return rest === undefined ? listed : listed.map((name) => `${kind}/${name}`);
}

async function names(path: string, line: CommandLine, host: Host): Promise<readonly string[]> {
  const api = apiOf({ line, host });
  try {
    const list = (await api.send({ path: path.replace('{}', api.connection.namespace), query: { limit: 500 } })) as {
      items?: ReadonlyArray<{ metadata: { name: string } }>;
    };
    return (list.items ?? []).map(({ metadata }) => metadata.name);
  } finally {
    await api.close();
  }
}

async function containers(line: CommandLine, host: Host): Promise<readonly string[]> {
  const pod = (line.positionals[0] ?? '').replace(/^pods?\//, '');
  if (pod === '' || pod.includes('/')) return [];
  const api = apiOf({ line, host });
  try {
    const path = `/api/v1/namespaces/${api.connection.namespace}/pods/${encodeURIComponent(pod)}`;
    const { spec } = (await api.send({ path })) as { spec?: { containers?: ReadonlyArray<{ name: string }> } };
    return (spec?.containers ?? []).map(({ name }) => name);
  } finally {
    await api.close();
  }
}
