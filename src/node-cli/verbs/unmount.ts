import { toolboxMount } from '../../api/names.ts';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { usage } from '../command-line.ts';
import { say } from '../host.ts';
import { findImage, imageDirectories } from '../image/find-image.ts';
import type { Invocation } from '../invocation.ts';
import { type Node, openNode } from '../node.ts';
import { openRuntimes } from '../runtimes/runtimes.ts';
import { current, releaseMount } from '../state/mounts.ts';
import { toolboxSeenBy } from '../state/node-mounts.ts';
import { findTarget, type NodeTarget } from '../target/find.ts';
import { labelOf } from '../target/match.ts';

/** Takes back what `-m` did (with an ID), or `run` (with an image and no ID). What is not there any more is no error. */
export async function unmount(invocation: Invocation): Promise<number> {
  const { host, log, id } = invocation;
  using stack = new DisposableStack();
  const node = stack.use(openNode(log));
  if (id === '') return await releaseImage(invocation, node);
  const runtimes = await openRuntimes(invocation.runtimes, host.env);
  for (const runtime of runtimes) stack.use(runtime);
  const target = stack.use(await findTarget(id, runtimes, node.kernel));
  const label = labelOf(target.candidate);
  const { kernel, entry, state } = node;
  const mounts = { kernel, entry, records: state.mounts };
  const outcome = await state.change(async () => {
    if (current(mounts, target.mountNamespace, target.pid) === undefined) return 'nothing';
    return (await releaseMount(mounts, target.mountNamespace, 'kept')) ?? 'gone';
  });
  if (outcome === 'nothing') return nothingOfOurs(target, label, invocation);
  if (outcome === 'gone') log.info(`${toolboxMount} is out of ${label}`);
  else
    say(
      host,
      `${outcome.users.length} session(s) still use ${toolboxMount} in ${label} (process ${outcome.users.map(({ pid }) => pid).join(', ')}): it goes with the last.`,
    );
  return 0;
}

function nothingOfOurs(target: NodeTarget, label: string, { host }: Invocation): number {
  if (toolboxSeenBy(target.pid) !== undefined) {
    throw new CrashcartError(
      reasons.MountPointOccupied,
      `What is at ${toolboxMount} in ${label} was not put there by crashcart -m (see "crashcart ps"): whoever did takes it out.`,
    );
  }
  say(host, `There is no ${toolboxMount} in ${label}.`);
  return 0;
}

async function releaseImage({ host, image: wanted, imageGiven }: Invocation, { state }: Node): Promise<number> {
  if (!imageGiven) throw usage('name a container: crashcart -u ID');
  const { key } = findImage(wanted, imageDirectories());
  await state.change(async () => {
    const kept = state.keptImages.all().filter(({ image }) => image.name === wanted || image.key === key);
    if (kept.length === 0) say(host, `No image "${wanted}" is kept for containers of "crashcart run".`);
    for (const { image } of kept) state.keptImages.erase(image.key);
  });
  return 0;
}
