import { CrashcartError, reasons } from '../../base/errors.ts';

/** What a pod's status calls a container, `containerd://4f2a…`, taken apart. */
export interface ContainerId {
  readonly runtime: string;
  readonly id: string;
}

const supported = ['containerd', 'cri-o'];
/** Ids of containerd and CRI-O are hexadecimal; a test may use names. Nothing that could be a path or an option. */
const pattern = /^([a-z][a-z0-9-]{0,31}):\/\/([A-Za-z0-9][A-Za-z0-9_.-]{0,127})$/;

/** @throws CrashcartError Invalid, or ContainerUnsupported for a runtime that is neither containerd nor CRI-O. */
export function parseContainerId(text: string): ContainerId {
  const [, runtime, id] = pattern.exec(text) ?? [];
  if (runtime === undefined || id === undefined) {
    throw new CrashcartError(reasons.Invalid, `${JSON.stringify(text.slice(0, 80))} is not the id of a container.`);
  }
  if (!supported.includes(runtime)) {
    throw new CrashcartError(
      reasons.ContainerUnsupported,
      `The node runs containers with ${runtime}: Crashcart works with containerd and CRI-O.`,
    );
  }
  return { runtime, id };
}
