import type { Architecture } from './lock.ts';

export interface Layout {
  /** What the names of binutils' programs begin with. */
  triplet: string;
  /** File name of the dynamic loader. */
  loader: string;
  /** Where programs look for the loader, without the leading slash. */
  interpreter: string;
  /** Directory of shared libraries, without the leading slash. */
  libraries: string;
}

const layouts: Readonly<Record<Architecture, Layout>> = {
  amd64: {
    triplet: 'x86_64-linux-gnu',
    loader: 'ld-linux-x86-64.so.2',
    interpreter: 'lib64/ld-linux-x86-64.so.2',
    libraries: 'usr/lib/x86_64-linux-gnu',
  },
  arm64: {
    triplet: 'aarch64-linux-gnu',
    loader: 'ld-linux-aarch64.so.1',
    interpreter: 'lib/ld-linux-aarch64.so.1',
    libraries: 'usr/lib/aarch64-linux-gnu',
  },
};

/** Where Debian puts the C library on an architecture. */
export const layoutOf = (architecture: Architecture): Layout => layouts[architecture];
