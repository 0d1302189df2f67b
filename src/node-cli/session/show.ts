import { closeSync } from 'node:fs';
import { mapOwners } from '../../linux/mount.ts';
import { examineTarget } from '../../node-agent/session/target.ts';
import type { Image } from '../image/find-image.ts';
import type { Node } from '../node.ts';
import { type Holder, holdMount } from '../state/mounts.ts';
import type { MountRecord } from '../state/records.ts';
import type { NodeTarget } from '../target/find.ts';
import { nameOf } from './container-name.ts';

/** Puts the toolbox into the container's own mount namespace, or takes part in the one that is there. */
export async function showTo(target: NodeTarget, image: Image, node: Node, holder: Holder): Promise<MountRecord> {
  const { kernel, entry, state } = node;
  using surroundings = examineTarget(kernel, target);
  return await state.change(async () => {
    state.images.attach(image);
    const mount = state.images.clone(image.key);
    try {
      // Owners as the container's user namespace knows them.
      if (surroundings.userNamespace !== undefined) mapOwners(kernel, mount, surroundings.userNamespace);
    } catch (error) {
      closeSync(mount);
      throw error;
    }
    const named = { name: image.name, key: image.key };
    return holdMount(
      { kernel, entry, records: state.mounts },
      { ...target, container: nameOf(target) },
      named,
      mount,
      holder,
    );
  });
}
