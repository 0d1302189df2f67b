/** A string in a program, and where its bytes are. */
export interface Located {
  value: string;
  offset: number;
}

/** What the kernel and the dynamic loader look at in a program or library. */
export interface Elf {
  machine: number;
  interpreter?: Located;
  needed: readonly string[];
  soname?: string;
  /** DT_RPATH or DT_RUNPATH. */
  runpath?: Located;
}

export const machines = { amd64: 62, arm64: 183 } as const;

const types = { load: 1, dynamic: 2, interpreter: 3 } as const;
const tags = { needed: 1n, stringTable: 5n, soname: 14n, rpath: 15n, runpath: 29n } as const;

export const isElf = (bytes: Buffer): boolean => bytes.length > 64 && bytes.readUInt32BE(0) === 0x7f454c46;

/** Reads a 64-bit little-endian ELF program or library. Undefined for anything else. Throws an Error for one that is damaged. */
export function readElf(bytes: Buffer): Elf | undefined {
  if (!isElf(bytes) || bytes[4] !== 2 || bytes[5] !== 1) return undefined;
  const type = bytes.readUInt16LE(16);
  // Programs and libraries; not the kernel's or a compiler's object files.
  if (type !== 2 && type !== 3) return undefined;
  const segments = segmentsOf(bytes);
  const interpreter = segments.find((segment) => segment.type === types.interpreter);
  const elf: Elf = { machine: bytes.readUInt16LE(18), ...dynamicOf(bytes, segments) };
  return interpreter ? { ...elf, interpreter: stringAt(bytes, interpreter.offset) } : elf;
}

interface Segment {
  type: number;
  offset: number;
  address: number;
  size: number;
}

function segmentsOf(bytes: Buffer): Segment[] {
  const [at, size, count] = [Number(bytes.readBigUInt64LE(32)), bytes.readUInt16LE(54), bytes.readUInt16LE(56)];
  return Array.from({ length: count }, (_, index) => {
    const header = at + index * size;
    return {
      type: bytes.readUInt32LE(header),
      offset: Number(bytes.readBigUInt64LE(header + 8)),
      address: Number(bytes.readBigUInt64LE(header + 16)),
      size: Number(bytes.readBigUInt64LE(header + 32)),
    };
  });
}

function dynamicOf(bytes: Buffer, segments: readonly Segment[]): Omit<Elf, 'machine' | 'interpreter'> {
  const dynamic = segments.find((segment) => segment.type === types.dynamic);
  if (!dynamic || dynamic.size === 0) return { needed: [] };
  const entries: [tag: bigint, value: number][] = [];
  for (let at = dynamic.offset; at + 16 <= dynamic.offset + dynamic.size; at += 16) {
    const tag = bytes.readBigUInt64LE(at);
    if (tag === 0n) break;
    entries.push([tag, Number(bytes.readBigUInt64LE(at + 8))]);
  }
  const table = entries.find(([tag]) => tag === tags.stringTable)?.[1] ?? 0;
  const load = segments.find(
    ({ type, address, size }) => type === types.load && table >= address && table < address + size,
  );
  if (!load) throw new Error('its string table is in no segment');
  const strings = table - load.address + load.offset;
  const at = (wanted: bigint): Located[] =>
    entries.filter(([tag]) => tag === wanted).map(([, value]) => stringAt(bytes, strings + value));
  const [soname, runpath] = [at(tags.soname)[0], at(tags.runpath)[0] ?? at(tags.rpath)[0]];
  return {
    needed: at(tags.needed).map(({ value }) => value),
    ...(soname && { soname: soname.value }),
    ...(runpath && { runpath }),
  };
}

function stringAt(bytes: Buffer, offset: number): Located {
  const end = bytes.indexOf(0, offset);
  if (offset >= bytes.length || end < 0) throw new Error(`it has no string at byte ${offset}`);
  return { value: bytes.toString('latin1', offset, end), offset };
}
