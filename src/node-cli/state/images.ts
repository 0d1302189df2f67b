import { closeSync, existsSync, mkdirSync, openSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Fd, Kernel } from '../../linux/kernel.ts';
import { closeAll } from '../../linux/kernel.ts';
import { attachMount, cloneMount, unmount } from '../../linux/mount.ts';
import type { Image } from '../image/find-image.ts';
import { mountImage } from '../image/mount-image.ts';

/**
 * Every image is mounted once on the node, however many containers show it: at a directory below the state directory, for as long as
 * something uses it. Callers hold the lock.
 */
export interface AttachedImages {
  /** The directory, mounted if it was not. */
  attach(image: Image): string;
  /** A detached clone, owned by the caller. */
  clone(key: string): Fd;
  /** Takes away those that nobody in `used` names. */
  detachUnused(used: ReadonlySet<string>): void;
}

export function openAttachedImages(kernel: Kernel, directory: string): AttachedImages {
  const root = join(directory, 'images');
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const place = (key: string): string => join(root, key);
  return {
    attach: ({ key, file }) => {
      const at = place(key);
      mkdirSync(at, { recursive: true, mode: 0o700 });
      if (isMounted(root, at)) return at;
      const { mount } = mountImage(kernel, file);
      try {
        attachMount(kernel, mount, at);
      } finally {
        closeAll(kernel, mount);
      }
      return at;
    },
    clone: (key) => {
      const fd = openSync(place(key), 'r');
      try {
        return cloneMount(kernel, fd as Fd);
      } finally {
        closeSync(fd);
      }
    },
    detachUnused: (used) => {
      if (!existsSync(root)) return;
      for (const key of readdirSync(root).filter((name) => !used.has(name))) {
        unmount(kernel, place(key));
        rmdirSync(place(key));
      }
    },
  };
}

const isMounted = (root: string, at: string): boolean => statSync(root).dev !== statSync(at).dev;
