/** What the kernel unpacks into its first root directory: a cpio archive of the form `newc`. */
export type InitialFile =
  | { readonly path: string; readonly content: Uint8Array; readonly mode: number }
  | { readonly path: string; readonly device: readonly [major: number, minor: number]; readonly mode: number };

const kinds = { directory: 0o040000, file: 0o100000, characterDevice: 0o020000 } as const;

/** Parents come first, or the kernel would leave out what is in them. */
export function initramfs(files: readonly InitialFile[]): Buffer {
  const directories = new Set<string>();
  for (const { path } of files) {
    const parts = path.split('/').slice(0, -1);
    for (const at of parts.keys()) directories.add(parts.slice(0, at + 1).join('/'));
  }
  const pieces = [
    ...[...directories].map((path) => member(path, kinds.directory | 0o755, Buffer.alloc(0))),
    ...files.map((file) =>
      'device' in file
        ? member(file.path, kinds.characterDevice | file.mode, Buffer.alloc(0), file.device)
        : member(file.path, kinds.file | file.mode, file.content),
    ),
    member('TRAILER!!!', 0, Buffer.alloc(0)),
  ];
  return Buffer.concat(pieces);
}

let inodes = 0;

function member(path: string, mode: number, content: Uint8Array, device: readonly [number, number] = [0, 0]): Buffer {
  const name = Buffer.from(`${path}\0`);
  const fields = [++inodes, mode, 0, 0, 1, 0, content.length, 0, 0, ...device, name.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), name])), padded(Buffer.from(content))]);
}

const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
