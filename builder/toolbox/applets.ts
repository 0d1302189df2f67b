import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../process.ts';

export interface Applet {
  name: string;
  directory: 'bin' | 'sbin';
}

/** Programs of their own, and what would stop the node or wait for a system's start instead of helping to look at it. */
const left = new Set(['bash', 'busybox', 'halt', 'init', 'linuxrc', 'poweroff', 'reboot', 'run-init', 'switch_root']);

/** The commands that this busybox has, as it says itself: which ones is decided when Debian builds it. */
export async function listApplets(busybox: Uint8Array): Promise<Applet[]> {
  const directory = await mkdtemp(join(tmpdir(), 'crashcart-busybox-'));
  try {
    const path = join(directory, 'busybox');
    await writeFile(path, busybox, { mode: 0o755 });
    return appletsOf((await run(path, ['--list-full'])).toString());
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Reads `busybox --list-full`: one path a line, e.g. `usr/sbin/chroot`. */
export function appletsOf(listing: string): Applet[] {
  return listing
    .split('\n')
    .filter((line) => line !== '')
    .map((path): Applet => {
      const name = path.slice(path.lastIndexOf('/') + 1);
      return { name, directory: path.includes('sbin/') ? 'sbin' : 'bin' };
    })
    .filter(({ name }) => !left.has(name));
}
