import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { fetchOptionsOf } from '../debian/cache.ts';
import { layoutOf } from '../debian/layout.ts';
import type { Lock } from '../debian/lock.ts';
import { unpackedPackage } from '../debian/unpacked.ts';
import { run } from '../process.ts';

/** Files of a container that has musl, as paths without a leading slash: the loader, which is the C library, and a program. */
export async function muslFiles(lock: Lock, environment: NodeJS.ProcessEnv): Promise<Record<string, Uint8Array>> {
  const scratch = await mkdtemp(join(tmpdir(), 'crashcart-musl-'));
  try {
    for (const name of ['musl', 'musl-dev']) {
      const locked = lock.packages.find((each) => each.name === name);
      if (!locked)
        throw new CrashcartError(
          reasons.Invalid,
          `The lock of ${lock.architecture} has no ${name}; run \`builder/crashcart-build lock\`.`,
        );
      for (const entry of (await unpackedPackage(locked, fetchOptionsOf(lock, environment))).values()) {
        const path = join(scratch, entry.path);
        await mkdir(dirname(path), { recursive: true });
        if (entry.type === 'symlink') await symlink(entry.target, path);
        else await writeFile(path, await entry.read());
      }
    }
    return await compile(scratch, lock);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function compile(root: string, lock: Lock): Promise<Record<string, Uint8Array>> {
  const machine = layoutOf(lock.architecture).triplet.replace('-linux-gnu', '');
  const [include, lib] = [join(root, `usr/include/${machine}-linux-musl`), join(root, `usr/lib/${machine}-linux-musl`)];
  const loader = `/lib/ld-musl-${machine}.so.1`;
  const out = join(root, 'workload');
  await run('gcc', [
    ...[
      '-g',
      '-O0',
      '-fno-omit-frame-pointer',
      '-fno-stack-protector',
      '-no-pie',
      '-fno-pie',
      '-nostdinc',
      '-isystem',
      include,
    ],
    ...['-nostdlib', join(lib, 'crt1.o'), join(lib, 'crti.o'), fileURLToPath(new URL('./workload.c', import.meta.url))],
    ...['-L', lib, '-l:libc.so', join(lib, 'crtn.o'), `-Wl,-dynamic-linker,${loader}`, '-o', out],
  ]);
  const libc = await readFile(join(lib, 'libc.so'));
  return { [loader.slice(1)]: libc, 'app/workload': await readFile(out) };
}
