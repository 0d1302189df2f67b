import { closeSync } from 'node:fs';
import type { Logger } from '../base/log.ts';
import { findCgroups } from '../linux/cgroup.ts';
import { keepInheritedDescriptors } from '../linux/descriptors.ts';
import { loadDeviceFilter } from '../linux/device-filter.ts';
import type { Fd, Kernel } from '../linux/kernel.ts';
import { loadKernel } from '../linux/kernel.ts';
import { type Entry, openEntry } from '../node-agent/session/entry.ts';
import type { ProcessDeps } from '../node-agent/session/process.ts';
import { enterProgram } from './carried.ts';
import { cgroupParent, stateDirectory } from './state/directory.ts';
import { openState, type State } from './state/state.ts';

/** What the verbs that change something share. */
export interface Node extends Disposable {
  readonly kernel: Kernel;
  readonly entry: Entry;
  readonly state: State;
  readonly log: Logger;
  /** For one session; the mounts are its own affair. */
  sessions(parts: Pick<ProcessDeps, 'toolboxes' | 'placements'>): ProcessDeps & Disposable;
}

export function openNode(log: Logger): Node {
  const stack = new DisposableStack();
  const kernel = loadKernel();
  keepInheritedDescriptors(kernel);
  const entry = stack.use(openEntry(kernel, enterProgram()));
  const cgroups = findCgroups('/sys/fs/cgroup');
  const state = openState(stateDirectory, { kernel, entry, cgroups, log });
  return {
    kernel,
    entry,
    state,
    log,
    sessions: (parts) => {
      const deviceFilter: Fd = loadDeviceFilter(kernel);
      return {
        ...parts,
        kernel,
        entry,
        cgroups,
        sessionsCgroup: cgroupParent,
        deviceFilter,
        log,
        [Symbol.dispose]: () => closeSync(deviceFilter),
      };
    },
    [Symbol.dispose]: () => stack.dispose(),
  };
}
