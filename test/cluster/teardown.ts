import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { cgroupProcesses, removeCgroups } from './cgroup.ts';
import { run, until } from './command.ts';
import { keptFiles, leftovers, mountsBelow } from './leftovers.ts';
import { deriveNaming } from './naming.ts';
import { hostLinks } from './network.ts';
import { identify, isAlive, kill, type ProcessIdentity } from './process.ts';
import { directoryOf, readState } from './state.ts';

/**
 * Ends the cluster, whole or half, running or crashed, and removes all that belongs to it; only its logs stay. Fine to
 * call when there is none. Throws Internal that lists what would not go away.
 */
export async function down(name: string): Promise<void> {
  const naming = deriveNaming(name);
  const directory = directoryOf(naming);
  await endProcesses(name, naming.prefix);
  for (const link of await hostLinks()) {
    // The kernel removes it by itself, too, once the namespace at its other end is gone.
    if (link.startsWith(naming.prefix)) await run('ip', ['link', 'delete', link]).catch(() => {});
  }
  await until('The cgroups go away', () => removeCgroups(naming.prefix) || undefined, { timeout: 10_000 });
  await removeFiles(directory);
  const left = await until('The leftovers are known', () => leftovers(name), { timeout: 10_000 });
  if (left.length > 0) {
    const message = `The cluster '${name}' is down, but this is left of it:\n  ${left.join('\n  ')}`;
    throw new CrashcartError(reasons.Internal, message);
  }
}

function running(name: string, prefix: string): ProcessIdentity[] {
  const state = readState(name);
  const known = [...(state?.nodes.map((node) => node.init) ?? []), ...(state?.holders ?? [])];
  const found = cgroupProcesses(prefix).flatMap((pid) => {
    try {
      return [identify(pid)];
    } catch {
      return []; // ended meanwhile
    }
  });
  // The nodes' first processes come first: with them the kernel ends everything in their pid namespaces at once.
  return [...known, ...found].filter(isAlive);
}

async function endProcesses(name: string, prefix: string): Promise<void> {
  const end = (): true | undefined => {
    const alive = running(name, prefix);
    for (const identity of alive) kill(identity);
    return alive.length === 0 || undefined;
  };
  await until('The processes end', end, { timeout: 20_000 });
}

async function removeFiles(directory: string): Promise<void> {
  if (!existsSync(directory)) return;
  // Deepest first. A recursive removal must never walk into something that is mounted.
  for (const place of mountsBelow(readFileSync('/proc/self/mountinfo', 'utf8'), directory).reverse()) {
    await run('umount', ['--lazy', place]);
  }
  for (const entry of readdirSync(directory)) {
    if (!keptFiles.includes(entry)) rmSync(join(directory, entry), { recursive: true, force: true });
  }
}
