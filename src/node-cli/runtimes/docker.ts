import type { TargetSpec } from '../../node-agent/session/request.ts';
import { specOfProcess } from '../target/process-spec.ts';
import { array, object, pidOf, strings, text } from './json.ts';
import type { Candidate, Described, ExecRequest, Runtime } from './runtime.ts';
import { getJson } from './unix-http.ts';

/** Docker's API; no version in the paths, so that every daemon answers with its own. */
export function openDocker(socket: string): Runtime {
  return {
    name: 'docker',
    where: socket,
    version: async () => text(object(await getJson(socket, '/version'))['Version']) || 'unknown',
    list: async () => parseDockerList(await getJson(socket, '/containers/json?all=1')),
    describe: async ({ id }) => {
      const answer = await getJson(socket, `/containers/${encodeURIComponent(id)}/json`);
      return answer === undefined ? undefined : describeDocker(answer);
    },
    exec: ({ id }, request) => [
      'docker',
      '--host',
      `unix://${socket}`,
      'exec',
      ...execFlags(request),
      id,
      ...request.command,
    ],
    [Symbol.dispose]: () => {},
  };
}

export const execFlags = ({ tty, stdin, user }: ExecRequest): string[] => [
  ...(stdin || tty ? ['--interactive'] : []),
  ...(tty ? ['--tty'] : []),
  ...(user === undefined ? [] : ['--user', user]),
];

export const parseDockerList = (answer: unknown): readonly Candidate[] =>
  array(answer).map((item) => {
    const container = object(item);
    const labels = object(container['Labels']);
    const state = text(container['State']);
    return {
      runtime: 'docker',
      id: text(container['Id']),
      // `/web`; `/web/db` is a link of another container.
      names: strings(container['Names']).map((name) => name.replace(/^\//, '')),
      ...kubernetesPod(labels),
      state,
      running: state === 'running' || state === 'paused',
    };
  });

/** The kubelet's labels, under whatever runtime. */
export function kubernetesPod(labels: Readonly<Record<string, unknown>>): Pick<Candidate, 'pod'> {
  const [namespace, name] = [text(labels['io.kubernetes.pod.namespace']), text(labels['io.kubernetes.pod.name'])];
  const container = text(labels['io.kubernetes.container.name']);
  return name === '' ? {} : { pod: { namespace, name, container } };
}

function describeDocker(answer: unknown): Described {
  const { pid, user, env, cwd, runtime } = parseDockerInspect(answer);
  return {
    pid,
    spec: pid === 0 ? noSpec : withUser(specOfProcess(pid), user, { env, cwd }),
    ...(runtime ? { runtimeBinary: runtime } : {}),
  };
}

export interface DockerInspect {
  readonly pid: number;
  /** As the image or `--user` has it: a number, a name, with a group or without; empty: root. */
  readonly user: string;
  readonly env: readonly string[];
  readonly cwd: string;
  /** `runc`, `runsc`, `io.containerd.kata.v2` */
  readonly runtime: string;
}

export function parseDockerInspect(answer: unknown): DockerInspect {
  const config = object(object(answer)['Config']);
  return {
    pid: pidOf(object(object(answer)['State'])['Pid']),
    user: text(config['User']),
    env: strings(config['Env']),
    cwd: text(config['WorkingDir']) || '/',
    runtime: text(object(object(answer)['HostConfig'])['Runtime']),
  };
}

const noSpec: TargetSpec = {
  user: { uid: 0, gid: 0, additionalGids: [] },
  capabilities: { bounding: [], ambient: [] },
  noNewPrivileges: false,
  cgroupsPath: '',
  env: [],
  cwd: '/',
};

/**
 * The process may have become another user than it was started as (a server that drops root); `docker exec` starts as the container's
 * own. A name would have to be looked up in files of the container: then the process's user it is.
 */
export function withUser(spec: TargetSpec, user: string, more: { env: readonly string[]; cwd: string }): TargetSpec {
  const [, uid, gid] = /^(\d{1,10})?(?::(\d{1,10}))?$/.exec(user) ?? [];
  if (user !== '' && uid === undefined) return { ...spec, ...more };
  const id = Number(uid ?? 0);
  const same = id === spec.user.uid;
  return {
    ...spec,
    ...more,
    user: {
      uid: id,
      gid: gid === undefined ? (same ? spec.user.gid : 0) : Number(gid),
      additionalGids: same ? spec.user.additionalGids : [],
    },
  };
}
