import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { layoutOf } from '../debian/layout.ts';
import type { Architecture } from '../debian/lock.ts';
import type { PackedFile } from '../debian/unpacked.ts';
import type { TarEntry } from '../oci/tar.ts';
import { renameLoaderVariables } from './loader.ts';
import { asLongAs, patch, prefix } from './patch.ts';
import { dropCatalogues, patchesOf } from './rules.ts';
import { relocatedScript } from './script.ts';

export const interpreter = `${prefix}/ld.so`;

/** A file of a package as it stands in the toolbox at `path`. It is read and changed when it is written. */
export async function relocated(file: PackedFile, path: string, architecture: Architecture): Promise<TarEntry> {
  const mode = file.mode & 0o111 ? 0o755 : 0o644;
  const explain = (cause: unknown): CrashcartError =>
    new CrashcartError(
      reasons.Invalid,
      `${file.path} cannot be relocated: ${cause instanceof Error ? cause.message : cause}. Its package has another build than builder/relocate/rules.ts knows: look at the file, and correct the rules.`,
      { cause },
    );
  if (file.interpreter !== undefined && mode === 0o755) {
    try {
      return { path, type: 'file', mode, content: relocatedScript(await file.read(), file.interpreter) };
    } catch (cause) {
      throw explain(cause);
    }
  }
  const read = async (): Promise<Buffer> => {
    const bytes = await file.read();
    try {
      relocate(bytes, file, path, architecture);
    } catch (cause) {
      throw explain(cause);
    }
    return bytes;
  };
  return { path, type: 'file', mode, size: file.size, read };
}

function relocate(bytes: Buffer, file: PackedFile, path: string, architecture: Architecture): void {
  const { triplet, loader } = layoutOf(architecture);
  patch(bytes, patchesOf(path, triplet, architecture));
  const elf = file.elf;
  if (!elf) return;
  if (path === `lib/${loader}`) renameLoaderVariables(bytes, architecture);
  if (elf.interpreter) overwrite(bytes, elf.interpreter.offset, elf.interpreter.value, interpreter);
  if (elf.runpath && !elf.runpath.value.startsWith('$ORIGIN')) {
    // All libraries are in one directory: what a program says of others is made to mean nothing.
    const { offset, value } = elf.runpath;
    overwrite(bytes, offset, value, value.length >= 18 ? asLongAs(value, '/lib') : '/sys/');
  }
  dropCatalogues(bytes);
}

function overwrite(bytes: Buffer, offset: number, was: string, becomes: string): void {
  if (becomes.length > was.length) throw new Error(`there is no room for ${becomes} in the place of ${was}`);
  bytes.fill(0, offset, offset + was.length);
  bytes.write(becomes, offset, 'latin1');
}
