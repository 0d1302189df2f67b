import { findImage, imageDirectories } from '../image/find-image.ts';
import type { Invocation } from '../invocation.ts';
import { openNode } from '../node.ts';
import { openRuntimes } from '../runtimes/runtimes.ts';
import { visitThroughRuntime } from '../session/through-runtime.ts';
import { visit } from '../session/visit.ts';
import { findTarget } from '../target/find.ts';
import { titleOf } from '../target/match.ts';

/** A shell or one command in a container. */
export async function open(invocation: Invocation, throughRuntime: boolean): Promise<number> {
  const { host, log, id, command, profile, capabilities, user, userText } = invocation;
  const image = findImage(invocation.image, imageDirectories());
  using stack = new DisposableStack();
  const node = stack.use(openNode(log));
  const runtimes = await openRuntimes(invocation.runtimes, host.env);
  for (const runtime of runtimes) stack.use(runtime);
  const target = stack.use(await findTarget(id, runtimes, node.kernel));
  log.info(`${titleOf(target.candidate)} is process ${target.pid}`, { image: image.file, profile });
  if (throughRuntime) {
    return await visitThroughRuntime(
      { target, image, command, ...(userText === undefined ? {} : { user: userText }) },
      node,
      host,
    );
  }
  return await visit(
    { target, image, command, profile, capabilities, private: invocation.private, ...(user ? { user } : {}) },
    node,
    host,
  );
}
