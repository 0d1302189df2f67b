/** Stands in for koffi's own platform package in the single executable: the native part comes out of the executable itself. */
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { getRawAsset } from 'node:sea';

/** The kernel's, which Node does not name: a file without any name, which nobody can open but through this process. */
const unnamedFile = 0o20200000;

const asset = 'koffi.node';

/**
 * The dynamic loader wants a file. It gets one that never has a name; where no file system here can do that, one in a new directory that
 * only this user can enter, gone before anything else happens. Never a name that somebody could know in advance.
 */
function loadAddon(): unknown {
  const program = new Uint8Array(getRawAsset(asset) as ArrayBuffer);
  const failures: string[] = [];
  // /run is often mounted noexec, /dev/shm seldom; the program's own directory can execute, or it would not run.
  for (const directory of ['/dev/shm', '/run', '/var/lib', dirname(process.execPath), '/tmp']) {
    for (const load of [loadUnnamed, loadNamed]) {
      try {
        return load(directory, program);
      } catch (error) {
        failures.push(error instanceof Error ? error.message : String(error));
      }
    }
  }
  throw new Error(`crashcart could not load its native part: ${failures.join('; ')}`);
}

function loadUnnamed(directory: string, program: Uint8Array): unknown {
  const fd = openSync(directory, constants.O_RDWR | unnamedFile, 0o700);
  try {
    for (let at = 0; at < program.length; ) at += writeSync(fd, program, at);
    return open(`/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}

function loadNamed(directory: string, program: Uint8Array): unknown {
  const own = mkdtempSync(join(directory, 'crashcart-'));
  try {
    const file = join(own, asset);
    writeFileSync(file, program, { mode: 0o700, flag: 'wx' });
    return open(file);
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

function open(path: string): unknown {
  const module = { exports: {} };
  process.dlopen(module, path);
  return module.exports;
}

export const addon = loadAddon();
