/** What the agent does before it takes any order. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Backoff } from '../base/backoff.ts';
import { describe } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { CgroupLayout } from '../linux/cgroup.ts';
import { closeAll, type Kernel } from '../linux/kernel.ts';
import { type KernelFeatures, probeKernel } from '../linux/probe.ts';
import type { Cri } from './cri/cri.ts';
import { parseRuntimeInfo } from './target/runtime-spec.ts';
import type { Toolboxes } from './toolbox/toolboxes.ts';

/** Probes, and says what is there and what is not. */
export async function probeNode(kernel: Kernel, cgroups: CgroupLayout, log: Logger): Promise<KernelFeatures> {
  const features = await probeKernel(kernel, firstCgroup(cgroups));
  const missing = Object.entries(features).flatMap(([name, available]) => (available ? [] : [name]));
  log.info('probed the kernel', { ...features });
  if (missing.length > 0) log.warn('the kernel lacks something: some sessions will be refused', { missing });
  return features;
}

/** Any v2 cgroup but the root shows the files that cgroups have. */
function firstCgroup({ unified }: CgroupLayout): string | undefined {
  if (unified === undefined) return undefined;
  const child = readdirSync(unified, { withFileTypes: true }).find((entry) => entry.isDirectory());
  return child && join(unified, child.name);
}

/** Mounts every toolbox, so that the first session does not pay for it and a broken file is known before somebody needs it. */
export function openAllToolboxes(kernel: Kernel, toolboxes: Toolboxes, log: Logger): void {
  for (const name of toolboxes.names()) {
    try {
      closeAll(kernel, toolboxes.clone(name));
      log.info('toolbox is there', { toolbox: name });
    } catch (caught) {
      log.error('the toolbox cannot be mounted', { toolbox: name, error: describe(caught) });
    }
  }
}

/**
 * Waits for the runtime, then answers a container's cgroup as the runtime named it: all pods of a node are below the same kubepods. The
 * agent's own /proc/self/cgroup would not do, because in a cgroup namespace it says `/`. Undefined: no container runs here.
 */
export async function findCgroupOfAnyContainer(
  cri: Cri,
  log: Logger,
  signal: AbortSignal,
): Promise<string | undefined> {
  const backoff = new Backoff({ initialMs: 200, maxMs: 5_000 });
  let lastProblem = '';
  while (!signal.aborted) {
    try {
      return await cgroupOfAny(cri);
    } catch (caught) {
      const problem = describe(caught);
      if (problem !== lastProblem) log.warn('waiting for the container runtime', { error: problem });
      lastProblem = problem;
      await backoff.wait(signal);
    }
  }
  return undefined;
}

async function cgroupOfAny(cri: Cri): Promise<string | undefined> {
  const containers = await cri.listContainers({ labelSelector: {} });
  for (const { id, state } of containers) {
    if (state !== 'CONTAINER_RUNNING') continue;
    const answer = await cri.containerStatus(id);
    const path = answer && parseRuntimeInfo(answer.info['info']).spec.cgroupsPath;
    // Not every container has the shape of Kubernetes' (docker on the same runtime): kubepods is what counts.
    if (path?.includes('kubepods')) return path;
  }
  return undefined;
}
