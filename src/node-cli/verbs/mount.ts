import { toolboxMount } from '../../api/names.ts';
import { printable } from '../../base/text.ts';
import { say } from '../host.ts';
import { findImage, imageDirectories } from '../image/find-image.ts';
import type { Invocation } from '../invocation.ts';
import { openNode } from '../node.ts';
import { openRuntimes } from '../runtimes/runtimes.ts';
import { showTo } from '../session/show.ts';
import { findTarget } from '../target/find.ts';
import { labelOf } from '../target/match.ts';

/** Shows the toolbox to a container until `-u`. Said twice it is there once. */
export async function mount(invocation: Invocation): Promise<number> {
  const { host, log, id } = invocation;
  const image = findImage(invocation.image, imageDirectories());
  using stack = new DisposableStack();
  const node = stack.use(openNode(log));
  const runtimes = await openRuntimes(invocation.runtimes, host.env);
  for (const runtime of runtimes) stack.use(runtime);
  const target = stack.use(await findTarget(id, runtimes, node.kernel));
  await showTo(target, image, node, 'kept');
  say(host, `${toolboxMount} is in ${printable(labelOf(target.candidate))} now; crashcart -u takes it out again.`);
  return 0;
}
