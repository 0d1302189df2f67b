import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { type RunOptions, run, systemPath, until } from './command.ts';
import { moduleOf } from './modules.ts';
import { deriveNaming } from './naming.ts';
import { tell } from './node.ts';
import { isAlive } from './process.ts';
import { absolute, type ClusterState, directoryOf, type NodeState, readState } from './state.ts';

export interface ClusterNode {
  /** `NAME-1`; also what Kubernetes calls it. */
  readonly name: string;
  /** Pid 1 of the node, as the host numbers it. */
  readonly pid: number;
  readonly ip: string;
  /** A path on the host. */
  readonly containerdSocket: string;
  /** The node's directory on the host: etc, services, and lib, which stands in its /var/lib. */
  readonly directory: string;
}

export interface Cluster {
  readonly name: string;
  readonly directory: string;
  readonly kubeconfig: string;
  /** JSON lines, one for every request, without the RequestReceived stage. */
  readonly auditLog: string;
  readonly nodes: readonly ClusterNode[];
  /** Absolute path of a program that was built for the cluster: `kubectl`, `helm`, `ctr` … */
  readonly bin: (program: string) => string;
  readonly kubectl: (args: readonly string[], options?: RunOptions) => Promise<string>;
  /** Runs a program inside a node's namespaces; its standard output. */
  readonly on: (node: string, argv: readonly string[], options?: RunOptions) => Promise<string>;
  /** The arguments of `nsenter` that start `argv` inside a node; for a caller that wants its own process. */
  readonly nsenter: (node: string, argv: readonly string[]) => string[];
  /** Imports a docker or OCI archive into every node. */
  readonly importImage: (tar: string) => Promise<void>;
  /** Ends a service of a node (`kubelet`, `kube-apiserver` …) and starts it again. */
  readonly restart: (node: string, service: string) => Promise<void>;
}

/** The binaries' directories first, then the system's. */
export const pathWith = (binaries: Readonly<Record<string, string>>): string =>
  [...Object.values(binaries), systemPath()].join(delimiter);

export function binaryIn(binaries: Readonly<Record<string, string>>, program: string): string {
  const module = moduleOf(program);
  const directory = module && binaries[module.name];
  if (!directory) throw new CrashcartError(reasons.NotFound, `The test cluster has no program '${program}'.`);
  return join(directory, program);
}

/** What kubectl and helm are to use, so that they keep their caches with the cluster and not in the home directory. */
export const toolEnvironment = (directory: string): Readonly<Record<string, string>> => ({
  KUBECONFIG: join(directory, 'kubeconfig'),
  KUBECACHEDIR: join(directory, 'cache', 'kubectl'),
  HELM_CACHE_HOME: join(directory, 'cache', 'helm'),
  HELM_CONFIG_HOME: join(directory, 'cache', 'helm-config'),
  HELM_DATA_HOME: join(directory, 'cache', 'helm-data'),
});

/** The running cluster of that name. Throws NotFound if there is none. */
export function open(name: string): Cluster {
  const state = readState(name);
  if (!state || state.nodes.length === 0 || !state.nodes.every((node) => isAlive(node.init))) {
    const message = `There is no running cluster '${name}': bring it up with test/cluster/main.ts up --name ${name}.`;
    throw new CrashcartError(reasons.NotFound, message);
  }
  return clusterOf(state);
}

export function clusterOf(state: ClusterState): Cluster {
  const directory = directoryOf(deriveNaming(state.name));
  const kubeconfig = join(directory, 'kubeconfig');
  const nodes = state.nodes.map((node) => clusterNode(directory, node));
  const bin = (program: string): string => binaryIn(state.binaries, program);
  const find = (name: string): ClusterNode => {
    const node = nodes.find((each) => each.name === name);
    if (node) return node;
    const message = `'${name}' is not a node of '${state.name}': ${nodes.map((each) => each.name).join(', ')}.`;
    throw new CrashcartError(reasons.NotFound, message);
  };
  const nsenter = (name: string, argv: readonly string[]): string[] => {
    const flags = ['--mount', '--pid', '--net', '--uts', '--ipc'];
    return [`--target=${find(name).pid}`, ...flags, '--', ...argv];
  };
  const on: Cluster['on'] = (name, argv, options) =>
    run('nsenter', nsenter(name, argv), { ...options, env: { PATH: pathWith(state.binaries), ...options?.env } });
  return {
    name: state.name,
    directory,
    kubeconfig,
    auditLog: join(directory, 'log', 'audit.log'),
    nodes,
    bin,
    on,
    nsenter,
    kubectl: (args, options) =>
      run(bin('kubectl'), args, { ...options, env: { ...toolEnvironment(directory), ...options?.env } }),
    importImage: async (tar) => {
      await Promise.all(nodes.map((node) => importInto(bin('ctr'), node.containerdSocket, tar)));
    },
    restart: async (name, service) => {
      const { directory } = find(name);
      const pid = (await on(name, ['cat', `/run/${service}.pid`])).trim();
      const ended = (): Promise<true | undefined> =>
        on(name, ['test', '!', '-e', `/proc/${pid}`]).then(yes, () => undefined);
      tell(directory, 'stop', service);
      try {
        await until(`${service} ends`, ended, { timeout: 3_000 });
      } catch {
        // The API server would wait for a minute until its last client is gone.
        tell(directory, 'kill', service);
        await until(`${service} on ${name} dies`, ended, { timeout: 10_000 });
      }
      tell(directory, 'start', service);
    },
  };
}

const yes = (): true => true;

const clusterNode = (directory: string, { name, ip, init }: NodeState): ClusterNode => ({
  name,
  ip,
  pid: init.pid,
  containerdSocket: `/proc/${init.pid}/root/run/containerd/containerd.sock`,
  directory: join(directory, 'nodes', name),
});

export async function importInto(ctr: string, socket: string, tar: string): Promise<void> {
  await run(ctr, ['--address', socket, '--namespace', 'k8s.io', 'images', 'import', tar], { timeout: 120_000 });
}

/** `build/bin/kubectl` and `build/bin/helm`, for people. */
export function linkTools(binaries: Readonly<Record<string, string>>): void {
  const directory = absolute('build/bin');
  mkdirSync(directory, { recursive: true });
  for (const tool of ['kubectl', 'helm']) {
    const link = join(directory, tool);
    rmSync(link, { force: true });
    symlinkSync(binaryIn(binaries, tool), link);
  }
}
