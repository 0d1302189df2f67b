import { CrashcartError, reasons } from '../../../base/errors.ts';
import { GrpcError, grpcCodes, openUnaryClient } from '../../../node-agent/cri/unary.ts';
import { parseRuntimeInfo } from '../../../node-agent/target/runtime-spec.ts';
import { execFlags, kubernetesPod } from '../docker.ts';
import { isOnPath } from '../programs.ts';
import type { Candidate, Described, ExecRequest, Runtime } from '../runtime.ts';
import { containerdDescriptor } from './descriptor.ts';

const deadlineMs = 5_000;
const maxMessageBytes = 32 * 1024 * 1024;

type ServiceName = 'namespaces.v1.Namespaces' | 'containers.v1.Containers' | 'tasks.v1.Tasks' | 'version.v1.Version';

interface Container {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly runtime: { readonly name: string } | null;
  readonly spec: { readonly value: Uint8Array } | null;
}

interface Task {
  readonly id: string;
  readonly containerId: string;
  readonly pid: number;
  readonly status: string;
}

/** containerd itself, whoever uses it: `ctr`, nerdctl, a Kubernetes node, Docker. */
export function openContainerd(socket: string): Runtime {
  const client = openUnaryClient({ socketPath: socket, descriptor: containerdDescriptor, deadlineMs, maxMessageBytes });
  const call = <T>(service: ServiceName, name: string, request: object, namespace?: string): Promise<T> =>
    client.call<T>(
      `containerd.services.${service}`,
      name,
      request,
      namespace === undefined ? {} : { 'containerd-namespace': namespace },
    );
  const tasks = async (namespace: string): Promise<readonly Task[]> =>
    (await call<{ tasks: Task[] }>('tasks.v1.Tasks', 'List', {}, namespace)).tasks;
  const listNamespace = async (namespace: string): Promise<readonly Candidate[]> => {
    const [{ containers }, running] = await Promise.all([
      call<{ containers: Container[] }>('containers.v1.Containers', 'List', {}, namespace),
      tasks(namespace),
    ]);
    return containers.filter(isContainer).map((container) => candidateOf(container, namespace, running));
  };
  const wrap = (cause: unknown): never => {
    throw new CrashcartError(reasons.RuntimeUnavailable, `containerd at ${socket} did not answer: ${String(cause)}.`, {
      cause,
    });
  };
  return {
    name: 'containerd',
    where: socket,
    version: async () => (await call<{ version: string }>('version.v1.Version', 'Version', {}).catch(wrap)).version,
    list: async () => {
      const { namespaces } = await call<{ namespaces: { name: string }[] }>(
        'namespaces.v1.Namespaces',
        'List',
        {},
      ).catch(wrap);
      return (await Promise.all(namespaces.map(({ name }) => listNamespace(name).catch(wrap)))).flat();
    },
    describe: async ({ id, namespace = '' }) => {
      try {
        const { container } = await call<{ container: Container | null }>(
          'containers.v1.Containers',
          'Get',
          { id },
          namespace,
        );
        return container ? describeContainer(container, taskOf(await tasks(namespace), id)) : undefined;
      } catch (error) {
        if (error instanceof GrpcError && error.code === grpcCodes.notFound) return undefined;
        if (error instanceof CrashcartError) throw error;
        return wrap(error);
      }
    },
    exec: (candidate, request) => execLine(socket, candidate, request),
    [Symbol.dispose]: () => client[Symbol.dispose](),
  };
}

/** A pod's own container holds its namespaces and has nothing to look at. */
const isContainer = ({ labels }: Container): boolean => labels['io.cri-containerd.kind'] !== 'sandbox';

const taskOf = (tasks: readonly Task[], id: string): Task | undefined =>
  tasks.find((task) => task.id === id || task.containerId === id);

function candidateOf({ id, labels }: Container, namespace: string, tasks: readonly Task[]): Candidate {
  const status = taskOf(tasks, id)?.status ?? 'no task';
  const names = [labels['nerdctl/name'], labels['io.kubernetes.container.name']];
  return {
    runtime: 'containerd',
    id,
    names: names.filter((name): name is string => name !== undefined && name !== ''),
    ...kubernetesPod(labels),
    namespace,
    state: status.toLowerCase(),
    running: status === 'RUNNING' || status === 'PAUSED',
  };
}

function describeContainer({ spec, runtime }: Container, task: Task | undefined): Described {
  const runtimeSpec: unknown = spec === null ? undefined : JSON.parse(Buffer.from(spec.value).toString());
  const parsed = parseRuntimeInfo(JSON.stringify({ pid: task?.pid ?? 0, runtimeSpec }));
  return { pid: parsed.pid, spec: parsed.spec, ...(runtime?.name ? { runtimeType: runtime.name } : {}) };
}

/** nerdctl where there is one: its exec is docker's. `ctr` is there wherever containerd is. */
function execLine(socket: string, { id, namespace = 'default' }: Candidate, request: ExecRequest): readonly string[] {
  const where = ['--address', socket, '--namespace', namespace];
  if (isOnPath('nerdctl')) return ['nerdctl', ...where, 'exec', ...execFlags(request), id, ...request.command];
  const name = `crashcart-${process.pid}-${Date.now().toString(36)}`;
  const { tty, user, command } = request;
  return [
    'ctr',
    ...where,
    ...['tasks', 'exec', '--exec-id', name],
    ...(tty ? ['--tty'] : []),
    ...(user === undefined ? [] : ['--user', user]),
    id,
    ...command,
  ];
}
