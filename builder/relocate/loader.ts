import type { Architecture } from '../debian/lock.ts';

/**
 * The dynamic loader looks for variables that begin with `LD_` by comparing three bytes (`_dl_next_ld_env_entry`). They become `CC_`:
 * the toolbox's programs ignore what the container sets (LD_PRELOAD, LD_LIBRARY_PATH, LD_AUDIT ...), and still pass it on to what they
 * start. CC_DEBUG=libs does what LD_DEBUG=libs does elsewhere.
 * Throws an Error when the comparison is not found exactly once.
 */
export function renameLoaderVariables(loader: Buffer, architecture: Architecture): void {
  const places = finders[architecture](loader);
  if (places.length !== 1) throw new Error(`the comparison with "LD_" is there ${places.length} times, not 1`);
  places[0]?.();
}

type Finder = (loader: Buffer) => (() => void)[];
const [L, D, underscore, C] = [0x4c, 0x44, 0x5f, 0x43];

/** cmpb $'L',(%rax); jne; cmpb $'D',1(%rax); jne; cmpb $'_',2(%rax); jne */
const amd64: Finder = (loader) => {
  const places: (() => void)[] = [];
  for (
    let at = loader.indexOf(Buffer.from([0x80, 0x38, L]));
    at >= 0;
    at = loader.indexOf(Buffer.from([0x80, 0x38, L]), at + 1)
  ) {
    const [second, third] = [at + 5, at + 11];
    const matches =
      loader[at + 3] === 0x75 &&
      loader.subarray(second, second + 4).equals(Buffer.from([0x80, 0x78, 0x01, D])) &&
      loader[at + 9] === 0x75 &&
      loader.subarray(third, third + 4).equals(Buffer.from([0x80, 0x78, 0x02, underscore])) &&
      loader[at + 15] === 0x75;
    if (!matches) continue;
    places.push(() => {
      loader[at + 2] = C;
      loader[second + 3] = C;
    });
  }
  return places;
};

/** cmp wN, #'L'; …; cmp wN, #'D'; …; cmp wN, #'_', twelve bytes apart each. */
const arm64: Finder = (loader) => {
  const compares = (at: number, character: number): boolean =>
    at + 4 <= loader.length && (loader.readUInt32LE(at) & 0xfffffc1f) >>> 0 === (0x7100001f | (character << 10)) >>> 0;
  const become = (at: number, character: number): void => {
    loader.writeUInt32LE(((loader.readUInt32LE(at) & ~(0xfff << 10)) | (character << 10)) >>> 0, at);
  };
  const places: (() => void)[] = [];
  for (let at = 0; at + 28 <= loader.length; at += 4) {
    if (!compares(at, L) || !compares(at + 12, D) || !compares(at + 24, underscore)) continue;
    places.push(() => {
      become(at, C);
      become(at + 12, C);
    });
  }
  return places;
};

const finders: Readonly<Record<Architecture, Finder>> = { amd64, arm64 };
