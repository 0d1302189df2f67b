import { formatTable } from '../../base/table.ts';
import type { Invocation } from '../invocation.ts';
import { openNode } from '../node.ts';
import { observe, type Shown } from '../state/observe.ts';

/** Where the toolbox is on this node, and who uses it: from the kernel, with the names that our records have. */
export async function ps({ host, log, json }: Invocation): Promise<number> {
  using node = openNode(log);
  const shown = await node.state.change(async () => observe(node.state));
  if (json) host.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
  else host.stdout.write(table(shown, new Date()));
  return 0;
}

const heads = ['CONTAINER', 'RUNTIME', 'IMAGE', 'SEEN BY', 'HELD BY', 'SINCE', 'IN USE BY'] as const;

export function table(shown: readonly Shown[], now: Date): string {
  const rows = shown.map(({ container, image, visibility, heldBy, since, users }) => [
    container.label,
    container.runtime,
    image,
    visibility,
    heldBy.join(', '),
    since === undefined ? '-' : age(now.getTime() - Date.parse(since)),
    users.map(({ pid, name }) => `${name}(${pid})`).join(' ') || '-',
  ]);
  return formatTable([heads, ...rows], 2);
}

function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`;
}
