import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { connectApiServer } from './api-server.ts';
import { createCgroup } from './cgroup.ts';
import { together, until } from './command.ts';
import { binaryIn, type Cluster, clusterOf, importInto, pathWith } from './handle.ts';
import { type Naming, subnets } from './naming.ts';
import { connectHost } from './network.ts';
import { type NodePlan, startNode, startService, writeFiles } from './node.ts';
import { nodeConfigFiles } from './node-config.ts';
import { writePki } from './pki.ts';
import { identify, namespaceOf, startInCgroup } from './process.ts';
import { answers, untilUsable } from './readiness.ts';
import {
  auditPolicy,
  bootstrapObjects,
  controlPlane,
  corefile,
  type NodeSurroundings,
  nodeServices,
} from './services.ts';
import { type ClusterState, writeState } from './state.ts';

/** A plan with what its configuration needs: all that is known of a node before it runs. */
export interface Planned extends NodePlan {
  readonly pods: string;
}

export interface Construction {
  readonly naming: Naming;
  readonly directory: string;
  readonly block: number;
  readonly binaries: Readonly<Record<string, string>>;
  readonly nodes: readonly Planned[];
  readonly images: readonly string[];
  readonly report: (line: string) => void;
  readonly signal: AbortSignal | undefined;
}

/** Configuration, machines, control plane, in that order; returns once the cluster can be used. Leaves what it made if it fails. */
export async function assemble(construction: Construction): Promise<Cluster> {
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
    await together([
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
  await together(
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
