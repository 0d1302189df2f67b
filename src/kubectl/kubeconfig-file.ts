import { isAbsolute, join } from 'node:path';

/** The parts of a kubeconfig that this program uses; files are absolute. */
export interface Config {
  readonly currentContext?: string;
  readonly contexts: ReadonlyMap<
    string,
    { readonly cluster?: string; readonly user?: string; readonly namespace?: string }
  >;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly users: ReadonlyMap<string, User>;
}

export interface Cluster {
  readonly server?: string;
  readonly caFile?: string;
  readonly caData?: string;
  readonly insecure?: boolean;
  readonly tlsServerName?: string;
  readonly proxyUrl?: string;
  /** The extension client.authentication.k8s.io/exec: what a credential program gets of its cluster, unread. */
  readonly execConfig?: unknown;
}

export interface ExecProgram {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly installHint?: string;
  readonly provideClusterInfo: boolean;
  readonly interactiveMode: 'Never' | 'IfAvailable' | 'Always';
}

export interface User {
  readonly certFile?: string;
  readonly certData?: string;
  readonly keyFile?: string;
  readonly keyData?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly username?: string;
  readonly password?: string;
  readonly as?: string;
  readonly asUid?: string;
  readonly asGroups?: readonly string[];
  readonly asExtra?: Readonly<Record<string, readonly string[]>>;
  readonly exec?: ExecProgram;
  readonly hasAuthProvider?: boolean;
}

type Loose = Readonly<Record<string, unknown>>;

/** Takes what has the right type. `directory` is the file's: relative names in it count from there. */
export function readConfig(parsed: unknown, directory: string): Config {
  const root = loose(parsed);
  const currentContext = text(root, 'current-context');
  return {
    ...(currentContext ? { currentContext } : {}),
    contexts: entries(root['contexts'], 'context', (it) =>
      defined({ cluster: text(it, 'cluster'), user: text(it, 'user'), namespace: text(it, 'namespace') }),
    ),
    clusters: entries(root['clusters'], 'cluster', (it) => readCluster(it, directory)),
    users: entries(root['users'], 'user', (it) => readUser(it, directory)),
  };
}

/** kubectl's rule: for every name, and for the current context, the first file that has it counts. */
export function mergeConfigs(configs: readonly Config[]): Config {
  const currentContext = configs.find((config) => config.currentContext)?.currentContext;
  const first = <T>(pick: (config: Config) => ReadonlyMap<string, T>): ReadonlyMap<string, T> =>
    new Map(configs.toReversed().flatMap((config) => [...pick(config)]));
  return {
    ...(currentContext ? { currentContext } : {}),
    contexts: first((config) => config.contexts),
    clusters: first((config) => config.clusters),
    users: first((config) => config.users),
  };
}

function readCluster(it: Loose, directory: string): Cluster {
  return defined({
    server: text(it, 'server'),
    caFile: path(it, 'certificate-authority', directory),
    caData: text(it, 'certificate-authority-data'),
    insecure: it['insecure-skip-tls-verify'] === true ? true : undefined,
    tlsServerName: text(it, 'tls-server-name'),
    proxyUrl: text(it, 'proxy-url'),
    execConfig: execConfigOf(it['extensions']),
  });
}

function execConfigOf(extensions: unknown): unknown {
  const all = (Array.isArray(extensions) ? extensions : []).map(loose);
  return all.find((each) => text(each, 'name') === 'client.authentication.k8s.io/exec')?.['extension'];
}

function readUser(it: Loose, directory: string): User {
  const groups = texts(it['as-groups']);
  return defined({
    certFile: path(it, 'client-certificate', directory),
    certData: text(it, 'client-certificate-data'),
    keyFile: path(it, 'client-key', directory),
    keyData: text(it, 'client-key-data'),
    token: text(it, 'token'),
    tokenFile: path(it, 'tokenFile', directory),
    username: text(it, 'username'),
    password: text(it, 'password'),
    as: text(it, 'as'),
    asUid: text(it, 'as-uid'),
    asGroups: groups.length > 0 ? groups : undefined,
    asExtra: it['as-user-extra'] ? extraOf(loose(it['as-user-extra'])) : undefined,
    exec: it['exec'] ? readExec(loose(it['exec']), directory) : undefined,
    hasAuthProvider: it['auth-provider'] ? true : undefined,
  });
}

const extraOf = (it: Loose): Record<string, readonly string[]> =>
  Object.fromEntries(Object.entries(it).map(([key, values]) => [key, texts(values)]));

function readExec(it: Loose, directory: string): ExecProgram {
  const command = text(it, 'command') ?? '';
  const env = (Array.isArray(it['env']) ? it['env'] : []).map(loose);
  const installHint = text(it, 'installHint');
  return {
    apiVersion: text(it, 'apiVersion') ?? 'client.authentication.k8s.io/v1',
    // A bare name is looked up on PATH; a relative path counts from the kubeconfig.
    command: command.includes('/') && !isAbsolute(command) ? join(directory, command) : command,
    args: texts(it['args']),
    env: Object.fromEntries(env.map((each) => [text(each, 'name') ?? '', text(each, 'value') ?? ''])),
    ...(installHint ? { installHint } : {}),
    provideClusterInfo: it['provideClusterInfo'] === true,
    interactiveMode:
      it['interactiveMode'] === 'Never' || it['interactiveMode'] === 'Always' ? it['interactiveMode'] : 'IfAvailable',
  };
}

function entries<T>(list: unknown, key: string, read: (it: Loose) => T): ReadonlyMap<string, T> {
  const pairs = (Array.isArray(list) ? list : [])
    .map(loose)
    .map((it) => [text(it, 'name') ?? '', read(loose(it[key]))] as const);
  // Within one file, too, the first of a name counts.
  return new Map(pairs.toReversed());
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

const defined = <T extends object>(object: T): Defined<T> =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Defined<T>;

const loose = (value: unknown): Loose => (typeof value === 'object' && value !== null ? (value as Loose) : {});

function text(it: Loose, key: string): string | undefined {
  const value = it[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

const texts = (value: unknown): readonly string[] =>
  (Array.isArray(value) ? value : []).filter((each): each is string => typeof each === 'string');

function path(it: Loose, key: string, directory: string): string | undefined {
  const value = text(it, key);
  return value === undefined || isAbsolute(value) ? value : join(directory, value);
}
