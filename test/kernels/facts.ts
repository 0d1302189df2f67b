/** Prints what this kernel is and has, found by calls, as JSON. Run by root inside each of them. */
import { mkdirSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../../src/base/log.ts';
import { findCgroups } from '../../src/linux/cgroup.ts';
import { closeAll, loadKernel } from '../../src/linux/kernel.ts';
import type { KernelFeatures } from '../../src/linux/probe.ts';
import { probeNode } from '../../src/node-agent/startup.ts';
import { openToolboxes } from '../../src/node-agent/toolbox/toolboxes.ts';
import { cgroupRoot } from '../integration/cgroups.ts';

export interface Facts {
  readonly release: string;
  readonly features: KernelFeatures;
  /** How a toolbox on the disk of the node gets mounted. */
  readonly toolbox: 'the file itself' | 'one loop device';
  /** Version 1 hierarchies beside it; 0 where there is v2 alone. */
  readonly legacyHierarchies: number;
  /** Of the v2 hierarchy. */
  readonly controllers: readonly string[];
  readonly securityModules: readonly string[];
}

const loopMajor = 7;

const words = (file: string): readonly string[] => {
  try {
    return readFileSync(file, 'utf8')
      .trim()
      .split(/[\s,]+/)
      .filter(Boolean);
  } catch {
    return [];
  }
};

async function examine(directory: string): Promise<Facts> {
  const kernel = loadKernel();
  const cgroups = findCgroups(cgroupRoot);
  using toolboxes = openToolboxes(kernel, join(directory, 'toolboxes'), { stateDirectory: join(directory, 'state') });
  const mount = toolboxes.clone('default');
  const { dev } = statSync(`/proc/self/fd/${mount}/`);
  closeAll(kernel, mount);
  return {
    release: release(),
    features: await withChild(cgroups.unified, () => probeNode(kernel, cgroups, silentLogger)),
    toolbox: dev >> 8 === loopMajor ? 'one loop device' : 'the file itself',
    legacyHierarchies: cgroups.legacy.length,
    controllers: cgroups.unified === undefined ? [] : words(join(cgroups.unified, 'cgroup.controllers')),
    securityModules: words('/sys/kernel/security/lsm'),
  };
}

/** A node has cgroups below the first one, and a machine that has just been booted for us has none. */
async function withChild<T>(unified: string | undefined, body: () => Promise<T>): Promise<T> {
  if (unified === undefined) return body();
  const child = join(unified, 'crashcart-facts');
  mkdirSync(child);
  try {
    return await body();
  } finally {
    rmdirSync(child);
  }
}

process.stdout.write(JSON.stringify(await examine(process.argv[2] ?? '')));
