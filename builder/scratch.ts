import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** A build that lives longer than this writes into its directory in the meantime. */
const forgottenAfterMs = 3_600_000;

/**
 * A directory beside `path` for what is made on the way to it. It goes when the work is done, has failed, or is interrupted; what a
 * killed build left is taken away by a later one.
 */
export async function inScratch<T>(path: string, work: (directory: string) => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const prefix = `.crashcart-${basename(path)}-`;
  await forget(dirname(path), prefix);
  const directory = await mkdtemp(join(dirname(path), prefix));
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  process.once('exit', remove);
  try {
    return await work(directory);
  } finally {
    process.off('exit', remove);
    await rm(directory, { recursive: true, force: true });
  }
}

async function forget(directory: string, prefix: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(prefix) || name.length !== prefix.length + 6) continue;
    const path = join(directory, name);
    const found = await stat(path).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > forgottenAfterMs) await rm(path, { recursive: true, force: true });
  }
}

/** Ends this process as a signal would, but with what waits for its exit: directories of work, and programs that it started. */
export function exitOnSignals(): void {
  for (const [signal, number] of [['SIGHUP', 1] as const, ['SIGINT', 2] as const, ['SIGTERM', 15] as const])
    process.once(signal, () => process.exit(128 + number));
}
