import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { assemble, type Construction, type Planned } from './assembly.ts';
import { build, clusterCache } from './build.ts';
import { type Cluster, linkTools } from './handle.ts';
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
import { usedAddresses } from './network.ts';
import { preflight } from './preflight.ts';
import { directoryOf } from './state.ts';
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
