import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { type ApiServer, connectApiServer } from './api-server.ts';
import { build, clusterCache } from './build.ts';
import { createCgroup } from './cgroup.ts';
import { until } from './command.ts';
import { binaryIn, type Cluster, clusterOf, importInto, linkTools, pathWith } from './handle.ts';
import { lock } from './lock.ts';
import {
  defaultName,
  deriveNaming,
  deriveNode,
  freeBlock,
  maxNodes,
  type Naming,
  repository,
  subnets,
} from './naming.ts';
import { connectHost, usedAddresses } from './network.ts';
import { type NodePlan, startNode, startService, writeFiles } from './node.ts';
import { nodeConfigFiles } from './node-config.ts';
import { writePki } from './pki.ts';
import { preflight } from './preflight.ts';
import { identify, namespaceOf, startInCgroup } from './process.ts';
import {
  auditPolicy,
  bootstrapObjects,
  controlPlane,
  corefile,
  type NodeSurroundings,
  nodeServices,
} from './services.ts';
import { type ClusterState, directoryOf, writeState } from './state.ts';
import { down } from './teardown.ts';
import { buildTestImages } from './test-images.ts';

export { type Cluster, type ClusterNode, open } from './handle.ts';
export { leftovers } from './leftovers.ts';
export { down } from './teardown.ts';
export { testImages } from './test-images.ts';

export interface UpOptions {
  readonly name?: string;
  readonly nodes?: number;
  /** Archives to import besides the test images, before the nodes are ready. */
  readonly images?: readonly string[];
  readonly report?: (line: string) => void;
  /** Aborted: everything that was started is taken down and the promise rejects. */
  readonly signal?: AbortSignal;
}

/** A plan with what its configuration needs: all that is known of a node before it runs. */
interface Planned extends NodePlan {
  readonly pods: string;
}

interface Construction {
  readonly naming: Naming;
  readonly directory: string;
  readonly block: number;
  readonly binaries: Readonly<Record<string, string>>;
  readonly nodes: readonly Planned[];
  readonly images: readonly string[];
  readonly report: (line: string) => void;
  readonly signal: AbortSignal | undefined;
}

/**
 * A cluster whose nodes are Ready, whose DNS answers and in which pods can be made at once. An earlier one of the same
 * name, whole or crashed, is taken down first. On any failure nothing is left but the logs.
 */
export async function up(options: UpOptions = {}): Promise<Cluster> {
  const naming = deriveNaming(options.name ?? defaultName);
  const { nodes = 2, signal } = options;
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > maxNodes) {
    throw new CrashcartError(reasons.Invalid, `A cluster has 1 to ${maxNodes} nodes, not ${nodes}.`);
  }
  preflight();
  using _lock = lock(directoryOf(naming));
  try {
    return await construct(await prepare(naming, nodes, options));
  } catch (error) {
    throw signal?.aborted ? signal.reason : error;
  }
}

/** Everything that may be there already: programs, images, no earlier cluster. */
async function prepare(naming: Naming, count: number, options: UpOptions): Promise<Construction> {
  const { images = [], report = () => {}, signal } = options;
  const binaries = Object.fromEntries(await build(report, signal));
  const tests = Object.values(await buildTestImages());
  linkTools(binaries);
  await down(naming.name);
  const directory = directoryOf(naming);
  rmSync(join(directory, 'log'), { recursive: true, force: true });
  mkdirSync(join(directory, 'log'), { recursive: true });
  const block = freeBlock(naming.preferredSubnet, await usedAddresses());
  const nodes = planNodes(naming, directory, block, count);
  return { naming, directory, block, binaries, nodes, images: [...tests, ...images], report, signal };
}

async function construct(construction: Construction): Promise<Cluster> {
  const { naming, report } = construction;
  try {
    return await assemble(construction);
  } catch (error) {
    report(`taking '${naming.name}' down again; its logs stay in ${naming.directory}/log`);
    await down(naming.name);
    throw error;
  }
}

function planNodes(naming: Naming, directory: string, block: number, count: number): Planned[] {
  const addresses = subnets(block);
  const indices = Array.from({ length: count }, (_, index) => index + 1);
  return indices.map((index) => {
    const { name, cgroup, port } = deriveNode(naming, index);
    const { ip, pods } = addresses.node(index);
    const others = indices.filter((other) => other !== index).map((other) => addresses.node(other));
    return {
      name,
      cgroup,
      port,
      ip,
      pods,
      gateway: addresses.host,
      routes: others.map((other) => `${other.pods}=${other.ip}`),
      directory: join(directory, 'nodes', name),
      log: join(directory, 'log', name),
      keep: [repository, clusterCache()],
    };
  });
}

async function assemble(construction: Construction): Promise<Cluster> {
  const { naming, report, signal } = construction;
  const start = performance.now();
  const said = (line: string): void =>
    report(`${((performance.now() - start) / 1000).toFixed(1).padStart(5)} s  ${line}`);
  const [first] = construction.nodes as readonly [Planned, ...Planned[]];
  await writeConfiguration(construction, first);
  const state = await startNodes(construction, said);
  const cluster = clusterOf(state);
  const api = connectApiServer(cluster.kubeconfig);
  try {
    startControlPlane(construction, first, ['etcd', 'kube-apiserver']);
    await Promise.all([
      until(`The API server (see ${naming.directory}/log)`, () => answers(api, '/readyz'), { timeout: 60_000, signal }),
      importImages(construction, cluster),
    ]);
    said('API server ready, images imported');
    // Not earlier: a controller manager that finds no API server waits for seconds before it asks again.
    startControlPlane(construction, first, ['kube-controller-manager', 'kube-scheduler']);
    const objects = bootstrapObjects(first.ip).map((object) => stringify(object, { aliasDuplicateObjects: false }));
    for (const node of construction.nodes) startOnNode(construction, node, ['kubelet', 'kube-proxy']);
    await cluster.kubectl(['create', '--filename', '-'], { input: objects.join('---\n') });
    startControlPlane(construction, first, ['coredns']);
    await untilUsable(api, cluster, signal);
    signal?.throwIfAborted();
    said(`${cluster.nodes.length} nodes ready`);
  } finally {
    api.close();
  }
  return cluster;
}

async function writeConfiguration(
  { naming, directory, block, binaries, nodes }: Construction,
  first: Planned,
): Promise<void> {
  writeState({ name: naming.name, block, holders: [], nodes: [], binaries });
  await writePki({ cluster: naming.name, directory, server: first.ip, nodes });
  writeFiles(join(directory, 'etc'), {
    'audit-policy.yaml': stringify(auditPolicy),
    Corefile: corefile(directory, first.ip),
  });
  for (const node of nodes) {
    const config = { ...surroundings(directory, binaries, node), cgroup: node.cgroup, podSubnet: node.pods };
    const cniDirectory = binaries['cni'] ?? '';
    writeFiles(
      join(node.directory, 'etc'),
      nodeConfigFiles({ ...config, clusterSubnet: subnets(block).pods, cniDirectory }),
    );
  }
}

const surroundings = (state: string, binaries: Construction['binaries'], node: NodePlan): NodeSurroundings => ({
  state,
  directory: node.directory,
  node: node.name,
  ip: node.ip,
  bin: (program) => binaryIn(binaries, program),
});

/** The switch and every node, each written to the state file as soon as it is there. */
async function startNodes(construction: Construction, said: (line: string) => void): Promise<ClusterState> {
  const { naming, directory, block, binaries, nodes, signal } = construction;
  let state: ClusterState = { name: naming.name, block, holders: [], nodes: [], binaries };
  const record = (change: Partial<ClusterState>): void => {
    state = { ...state, ...change };
    writeState(state);
  };
  const log = join(directory, 'log', 'switch.log');
  const switchPid = startInCgroup(createCgroup(`${naming.prefix}/switch`), ['unshare', '--net', 'sleep', 'infinity'], {
    log,
  });
  record({ holders: [identify(switchPid)] });
  await until('The network namespace of the switch', () => hasOwnNetwork(switchPid), {
    timeout: 5_000,
    every: 5,
    signal,
  });
  await connectHost(naming, subnets(block), switchPid);
  await Promise.all(
    nodes.map(async (node) => {
      const { init } = await startNode(node, switchPid, (holder, pid) => {
        if (pid) record({ nodes: [...state.nodes, { name: node.name, ip: node.ip, init: pid }] });
        else record({ holders: [...state.holders, holder] });
      });
      startOnNode(construction, node, ['containerd']);
      const socket = `/proc/${init.pid}/root/run/containerd/containerd.sock`;
      await until(`containerd on ${node.name} (see ${node.log})`, () => existing(socket), {
        timeout: 20_000,
        signal,
      });
    }),
  );
  record({ nodes: state.nodes.toSorted((a, b) => a.name.localeCompare(b.name)) });
  said(`${nodes.length} machines running`);
  return state;
}

const existing = (path: string): true | undefined => existsSync(path) || undefined;

const hasOwnNetwork = (pid: number): true | undefined =>
  namespaceOf(pid, 'net') !== namespaceOf('self', 'net') || undefined;

function startControlPlane({ directory, binaries }: Construction, first: Planned, names: readonly string[]): void {
  startServices(binaries, surroundings(directory, binaries, first), controlPlane, names);
}

function startOnNode({ directory, binaries }: Construction, node: Planned, names: readonly string[]): void {
  startServices(binaries, surroundings(directory, binaries, node), nodeServices, names);
}

function startServices(
  binaries: Construction['binaries'],
  at: NodeSurroundings,
  table: typeof controlPlane,
  names: readonly string[],
): void {
  for (const name of names) {
    const service = table[name];
    if (service) startService(at.directory, name, service(at), pathWith(binaries));
  }
}

async function importImages({ images, binaries }: Construction, cluster: Cluster): Promise<void> {
  const ctr = binaryIn(binaries, 'ctr');
  await Promise.all(
    cluster.nodes.map(async (node) => {
      for (const image of images) await importInto(ctr, node.containerdSocket, image);
    }),
  );
}

async function answers(api: ApiServer, path: string): Promise<true | undefined> {
  return (await api.get(path))?.status === 200 || undefined;
}

async function untilUsable(api: ApiServer, cluster: Cluster, signal: AbortSignal | undefined): Promise<void> {
  const options = { timeout: 60_000, every: 50, signal };
  const logs = `see ${cluster.directory}/log`;
  for (const node of cluster.nodes)
    await until(`Node ${node.name} is Ready (${logs})`, () => isReady(api, node.name), options);
  // Pods are refused in a namespace that has no default service account yet.
  await until(
    `The default service account (${logs})`,
    () => answers(api, '/api/v1/namespaces/default/serviceaccounts/default'),
    options,
  );
  const [first] = cluster.nodes;
  if (!first) return;
  const dns = [
    'bash',
    '-c',
    `exec 3<>/dev/tcp/${first.ip}/8181; printf 'GET /ready HTTP/1.0\\r\\n\\r\\n' >&3; grep -q 200 <&3`,
  ];
  await until(
    `Cluster DNS (${logs})`,
    () =>
      cluster.on(first.name, dns).then(
        () => true,
        () => undefined,
      ),
    options,
  );
}

async function isReady(api: ApiServer, node: string): Promise<true | undefined> {
  const answer = await api.get(`/api/v1/nodes/${node}`);
  if (answer?.status !== 200) return undefined;
  const { status } = JSON.parse(answer.body) as { status: { conditions?: { type: string; status: string }[] } };
  return status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') || undefined;
}
