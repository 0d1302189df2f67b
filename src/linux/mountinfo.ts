/** One line of /proc/PID/mountinfo (proc(5)). */
export interface Mount {
  readonly id: number;
  readonly parent: number;
  /** `8:1`: the superblock. */
  readonly device: string;
  /** The directory of the file system that is its root. */
  readonly root: string;
  readonly mountPoint: string;
  readonly options: readonly string[];
  /** `shared:N`, `master:N`, `propagate_from:N`, `unbindable`. */
  readonly tags: readonly string[];
  readonly type: string;
  readonly source: string;
}

/** Parses the whole file's text; a line that is not one is left out, because later kernels may add others. */
export function parseMountinfo(text: string): readonly Mount[] {
  return text.split('\n').flatMap((line) => {
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    if (dash < 0 || fields.length < dash + 3) return [];
    const field = (at: number): string => unescapeField(fields[at] ?? '');
    return [
      {
        id: Number(field(0)),
        parent: Number(field(1)),
        device: field(2),
        root: field(3),
        mountPoint: field(4),
        options: field(5).split(','),
        tags: fields.slice(6, dash),
        type: field(dash + 1),
        source: field(dash + 2),
      },
    ];
  });
}

/** Blank, tab, newline and backslash stand as three octal digits. */
const unescapeField = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_match, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** What is seen at a path: the last of the mounts at the longest mount point above it. */
export function mountOf(mounts: readonly Mount[], path: string): Mount | undefined {
  return mounts
    .filter(({ mountPoint }) => mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`))
    .reduce<Mount | undefined>(
      (best, mount) => (best === undefined || mount.mountPoint.length >= best.mountPoint.length ? mount : best),
      undefined,
    );
}

export const isShared = (mount: Mount): boolean => mount.tags.some((tag) => tag.startsWith('shared:'));
