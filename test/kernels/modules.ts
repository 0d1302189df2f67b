import { spawnSync } from 'node:child_process';
import { basename } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { CrashcartError, reasons } from '../../src/base/errors.ts';

export interface KernelModules {
  /** Contents by path, compressed as the package has them. */
  readonly modules: ReadonlyMap<string, Buffer>;
  /** Names of those that are part of the kernel itself. */
  readonly builtIn: ReadonlySet<string>;
}

export interface NamedModule {
  readonly name: string;
  readonly content: Buffer;
}

/** As the kernel names it: modules are found with dashes as with underscores. */
export const moduleName = (path: string): string =>
  basename(path.trim())
    .replace(/\.ko(\.xz|\.zst)?$/, '')
    .replaceAll('-', '_');

/** The wanted modules and what they need, each after its needs. What is built in is left out. */
export async function inLoadOrder(
  { modules, builtIn }: KernelModules,
  wanted: readonly string[],
  wantedIfThere: readonly string[],
): Promise<readonly NamedModule[]> {
  const byName = new Map([...modules].map(([path, content]) => [moduleName(path), content]));
  const order = new Map<string, Buffer>();
  const add = async (name: string): Promise<void> => {
    if (order.has(name) || builtIn.has(name)) return;
    const packed = byName.get(name);
    if (packed === undefined)
      throw new CrashcartError(reasons.NotFound, `The kernel has no module ${name}: the test machine cannot be made.`);
    const content = await decompressed(packed);
    for (const need of needsOf(content)) await add(need);
    order.set(name, content);
  };
  for (const name of [...wantedIfThere.filter((each) => byName.has(each)), ...wanted]) await add(name);
  return [...order].map(([name, content]) => ({ name, content }));
}

/** What the module itself says, in the text of its `.modinfo` section. */
export function needsOf(content: Buffer): readonly string[] {
  const at = content.indexOf('\0depends=');
  if (at < 0) return [];
  const end = content.indexOf(0, at + 1);
  const list = content.toString('latin1', at + '\0depends='.length, end);
  return list.split(',').filter(Boolean).map(moduleName);
}

const elf = Buffer.from('\x7fELF', 'latin1');
const mostModuleBytes = 64 << 20;

export async function decompressed(content: Buffer): Promise<Buffer> {
  if (content.subarray(0, 4).equals(elf)) return content;
  if (content.readUInt32LE(0) === 0xfd2fb528) return zstdDecompressSync(content, { maxOutputLength: mostModuleBytes });
  const { stdout, status } = spawnSync('xz', ['--decompress', '--stdout'], {
    input: content,
    maxBuffer: mostModuleBytes,
  });
  if (status === 0) return stdout;
  throw new CrashcartError(reasons.Invalid, 'A module of the kernel has a compression that is not known here.');
}
