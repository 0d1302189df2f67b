import { closeSync, openSync } from 'node:fs';
import type { Logger } from '../../base/log.ts';
import { findCgroups } from '../../linux/cgroup.ts';
import { loadDeviceFilter } from '../../linux/device-filter.ts';
import type { Fd, Kernel } from '../../linux/kernel.ts';
import { namespaceOf } from '../../linux/namespaces.ts';
import { openPlacements } from '../mount/placements.ts';
import { openToolboxes } from '../toolbox/toolboxes.ts';
import { openEntry } from './entry.ts';
import type { AgentDeps } from './process.ts';

export interface ProcessOptions {
  readonly kernel: Kernel;
  /** The static program, as /usr/lib/crashcart/crashcart-enter. */
  readonly enterFile: string;
  /** Directory of NAME.erofs files. */
  readonly toolboxDirectory: string;
  /** Where the node's cgroups are mounted, as /host/sys/fs/cgroup. */
  readonly cgroupRoot: string;
  /** Survives a restart of the agent's process; holds the journal of toolboxes shown to containers. */
  readonly stateDirectory: string;
  readonly log: Logger;
}

/** Opens what all sessions share. First of all, every descriptor that this process inherited becomes close-on-exec. */
export function openProcessDeps(options: ProcessOptions): AgentDeps & Disposable {
  const { kernel, stateDirectory, log } = options;
  const stack = new DisposableStack();
  try {
    const entry = stack.use(openEntry(kernel, options.enterFile));
    const toolboxes = stack.use(openToolboxes(kernel, options.toolboxDirectory, { stateDirectory }));
    const deviceFilter = loadDeviceFilter(kernel);
    stack.defer(() => closeSync(deviceFilter));
    const host = namespaceOf(1, 'cgroup');
    const hostCgroup =
      host === undefined || host === namespaceOf('self', 'cgroup')
        ? undefined
        : (openSync('/proc/1/ns/cgroup', 'r') as Fd);
    if (hostCgroup !== undefined) stack.defer(() => closeSync(hostCgroup));
    return {
      kernel,
      entry,
      toolboxes,
      cgroups: findCgroups(options.cgroupRoot),
      placements: openPlacements({ kernel, entry, stateDirectory }),
      deviceFilter,
      stateDirectory,
      ...(hostCgroup === undefined ? {} : { hostCgroup }),
      log,
      [Symbol.dispose]: () => stack.dispose(),
    };
  } catch (error) {
    stack.dispose();
    throw error;
  }
}
