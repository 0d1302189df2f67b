import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { cacheDirectory } from '../../builder/debian/cache.ts';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { run } from './command.ts';
import { buildArguments, type GoModule, modules } from './modules.ts';

const sources = join(import.meta.dirname, 'modules');

/** Where binaries and test images are kept between clones. */
export const clusterCache = (): string => join(cacheDirectory(process.env), 'cluster');

/** Directory of every module's binaries, by module name. */
export type Binaries = ReadonlyMap<string, string>;

/**
 * Makes `directory` by `make` in a temporary neighbour and renames it, so that nothing half-made is ever seen. Two
 * builders at once both work; the second finds the first one's result and throws its own away.
 */
export async function once(directory: string, make: (temporary: string) => Promise<void>): Promise<void> {
  if (existsSync(directory)) return;
  mkdirSync(dirname(directory), { recursive: true });
  removeAbandoned(directory);
  const temporary = mkdtempSync(`${directory}.`);
  try {
    await make(temporary);
    try {
      renameSync(temporary, directory);
    } catch (error) {
      if (!existsSync(directory)) throw error;
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** No build takes so long: what an older one left half-made was killed. */
const abandonedAfterMs = 6 * 3_600_000;

function removeAbandoned(directory: string): void {
  for (const name of readdirSync(dirname(directory))) {
    const temporary = join(dirname(directory), name);
    if (!name.startsWith(`${basename(directory)}.`)) continue;
    if (Date.now() - statSync(temporary).mtimeMs > abandonedAfterMs)
      rmSync(temporary, { recursive: true, force: true });
  }
}

function key(module: GoModule, goVersion: string): string {
  const hash = createHash('sha256').update(`${goVersion}\n${process.arch}\n${buildArguments(module, '').join('\n')}`);
  const directory = join(sources, module.name);
  for (const file of readdirSync(directory).sort())
    hash.update(`\n${file}\n`).update(readFileSync(join(directory, file)));
  return hash.digest('hex').slice(0, 16);
}

/** Builds what the cache does not have yet. `report` gets one line at a time, for a person. */
export async function build(report: (line: string) => void, signal?: AbortSignal): Promise<Binaries> {
  const built = new Map<string, string>();
  for (const module of modules) {
    // Asked in the module's directory: an older Go fetches the toolchain that go.mod wants and answers for that.
    const goVersion = (await run('go', ['env', 'GOVERSION'], { cwd: join(sources, module.name) })).trim();
    const directory = join(clusterCache(), `${module.name}-${key(module, goVersion)}`);
    await once(directory, (temporary) => compile(module, temporary, report, signal));
    built.set(module.name, directory);
  }
  return built;
}

async function compile(
  module: GoModule,
  output: string,
  report: (line: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  const start = Date.now();
  const elapsed = (): string => `${Math.round((Date.now() - start) / 1000)} s`;
  report(`${module.name} ${module.version}: building (the first time about ${module.firstBuild} on two cores)`);
  const progress = setInterval(() => report(`${module.name} ${module.version}: building, ${elapsed()}`), 15_000);
  try {
    await go(module, output, signal);
  } finally {
    clearInterval(progress);
  }
  report(`${module.name} ${module.version}: built in ${elapsed()}`);
}

function go(module: GoModule, output: string, signal?: AbortSignal): Promise<void> {
  const env = { ...process.env, CGO_ENABLED: module.cgo ? '1' : '0', GOFLAGS: '-buildvcs=false' };
  const cwd = join(sources, module.name);
  return new Promise((resolve, reject) => {
    const child = spawn('go', buildArguments(module, output), {
      cwd,
      env,
      signal,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4000);
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) return resolve();
      const message = `Building ${module.name} ${module.version} failed; go said:\n${said.trim()}`;
      reject(new CrashcartError(reasons.Internal, message));
    });
  });
}
