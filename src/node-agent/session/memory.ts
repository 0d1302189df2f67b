import { closeSync, fstatSync, ftruncateSync, readSync, writeSync } from 'node:fs';
import { duplicate, openMemory } from '../../linux/descriptors.ts';
import type { Fd, Kernel } from '../../linux/kernel.ts';
import { bootNow } from './boot-clock.ts';
import type { InputSender, OutputPiece } from './request.ts';

/** native/session.h has the same numbers. */
const page = 4096;
const runCount = 4096;
const restBytes = 256 * 1024;
/** How far the slowest reader may lag behind before the command has to wait. */
export const outputBytes = 1024 * 1024;
export const inputBytes = 128 * 1024;
const ringBytes = outputBytes + restBytes;
const at = {
  told: 0,
  asked: page,
  clients: page + 64,
  runs: 2 * page,
  output: 2 * page + runCount * 8,
  input: 2 * page + runCount * 8 + ringBytes,
  record: 2 * page + runCount * 8 + ringBytes + inputBytes,
} as const;
const told = { outputEnded: 1, exited: 2, targetExited: 4, inputBroken: 8, leaseOver: 16 } as const;
/** `visited` is the agents' own: the supervisor does not look at it. */
const asked = { keep: 1, inputEnd: 2, released: 4, visited: 8 } as const;
const toldLength = 64;
const tailOffset = 8;
const activeOffset = 32;
/** `struct asked`, and behind it a word of the agents among themselves. */
const askedLength = 40;
const maxRecordBytes = 512 * 1024;

/** As the kernel calls it in /proc. */
export const memoryName = 'crashcart-session';

/** What the supervisor says. Positions count bytes since the session's start. */
export interface Told {
  readonly head: number;
  readonly tail: number;
  readonly runs: number;
  readonly input: number;
  /** Nanoseconds of CLOCK_BOOTTIME. */
  readonly active: bigint;
  readonly outputEnded: boolean;
  readonly targetExited: boolean;
  readonly inputBroken: boolean;
  readonly leaseOver: boolean;
  readonly exit: { readonly code: number; readonly signal: number; readonly atMs: number } | undefined;
  readonly command: number;
}

/**
 * A session's memory, shared with its supervisor: the output ring, the input ring and what each says to the other. Read and written by
 * position through the descriptor, so that neither a mapping nor a lock is needed.
 */
export class SessionMemory implements Disposable {
  readonly fd: Fd;
  readonly #asked = Buffer.alloc(askedLength);
  #open = true;
  #lately: Told | undefined;

  constructor(fd: Fd) {
    this.fd = fd;
    readSync(fd, this.#asked, 0, askedLength, at.asked);
  }

  static create(kernel: Kernel): SessionMemory {
    const fd = openMemory(kernel, memoryName);
    ftruncateSync(fd, at.record);
    // What the supervisor tells with the first byte; a session that moves none is idle since now, not since the machine's start.
    const active = Buffer.alloc(8);
    active.writeBigUInt64LE(bootNow());
    writeSync(fd, active, 0, active.length, at.told + activeOffset);
    return new SessionMemory(fd);
  }

  /** For one that reads on when the session's own descriptor is closed. */
  duplicate(kernel: Kernel): SessionMemory {
    return new SessionMemory(duplicate(kernel, this.fd));
  }

  [Symbol.dispose](): void {
    if (this.#open) closeSync(this.fd);
    this.#open = false;
  }

  /** As it was at the first look in this turn of the event loop: one arrival of output asks for it a dozen times. */
  told(): Told {
    if (this.#lately) return this.#lately;
    queueMicrotask(() => {
      this.#lately = undefined;
    });
    this.#lately = this.#look();
    return this.#lately;
  }

  #look(): Told {
    const bytes = this.#stable(at.told, toldLength);
    const flags = bytes.readUInt32LE(48);
    return {
      head: number(bytes, 0),
      tail: number(bytes, tailOffset),
      runs: number(bytes, 16),
      input: number(bytes, 24),
      active: bytes.readBigUInt64LE(activeOffset),
      outputEnded: (flags & told.outputEnded) !== 0,
      targetExited: (flags & told.targetExited) !== 0,
      inputBroken: (flags & told.inputBroken) !== 0,
      leaseOver: (flags & told.leaseOver) !== 0,
      exit:
        (flags & told.exited) === 0
          ? undefined
          : { code: bytes.readUInt32LE(52), signal: bytes.readUInt32LE(56), atMs: number(bytes, 40) / 1e6 },
      command: bytes.readUInt32LE(60),
    };
  }

  /** At most `maxBytes` of one channel from a position on; undefined when there is nothing there yet. */
  read(position: number, maxBytes: number): OutputPiece | undefined {
    for (;;) {
      const before = this.told();
      // No supervisor counts so far; above it numbers have gaps, and a search between two of them would not end.
      if (!Number.isSafeInteger(before.head) || !Number.isSafeInteger(before.runs)) return undefined;
      let from = Math.max(position, before.tail);
      const run = this.#runOf(from, before.runs);
      from = Math.max(from, run?.start ?? from);
      const end = Math.min(run?.end ?? before.head, before.head, from + maxBytes);
      if (run === undefined || from >= end) return undefined;
      const payload = this.#ring(from, end - from);
      // Written over while it was read: then what is there now begins later.
      if (number(this.#stable(at.told + tailOffset, 8), 0) <= from)
        return { position: from, channel: run.channel, payload };
      this.#lately = undefined;
    }
  }

  /** Output from `position` on is not written over: the command waits instead. Undefined: it goes on whoever reads. */
  keep(position: number | undefined): void {
    if (position !== undefined) this.#asked.writeBigUInt64LE(BigInt(position), 0);
    this.#setFlag(asked.keep, position !== undefined);
    this.#ask();
  }

  get kept(): number | undefined {
    return (this.#asked.readUInt32LE(24) & asked.keep) === 0 ? undefined : number(this.#asked, 0);
  }

  get noted(): number {
    return number(this.#asked, 32);
  }

  set noted(value: number) {
    this.#asked.writeBigUInt64LE(BigInt(Math.trunc(value)), 32);
    this.#ask();
  }

  /** Somebody has attached since the session began. */
  get visited(): boolean {
    return (this.#asked.readUInt32LE(24) & asked.visited) !== 0;
  }

  visit(): void {
    this.#setFlag(asked.visited, true);
    this.#ask();
  }

  /** CLOCK_BOOTTIME, ns: until then the session may run, with an agent or without. */
  lease(until: bigint): void {
    this.#asked.writeBigUInt64LE(until, 16);
    this.#ask();
  }

  release(): void {
    this.#setFlag(asked.released, true);
    this.#ask();
  }

  get inputEnded(): boolean {
    return (this.#asked.readUInt32LE(24) & asked.inputEnd) !== 0;
  }

  endInput(): void {
    this.#setFlag(asked.inputEnd, true);
    this.#ask();
  }

  get inputHead(): number {
    return number(this.#asked, 8);
  }

  /**
   * Appends as much as there is room for. Less than all: there was no room for the rest after that, and the supervisor wakes us when half of what
   * waits is gone.
   */
  write(payload: Uint8Array, sender?: InputSender): number {
    let taken = 0;
    while (taken < payload.length) {
      const rest = payload.subarray(taken);
      // What this turn has seen may be long past, and nobody wakes who waits for room that is there already.
      if (this.#room < rest.length) this.#lately = undefined;
      const length = Math.min(rest.length, this.#room);
      if (length <= 0) break;
      this.#append(rest.subarray(0, length), sender && { ...sender, received: sender.received + taken });
      taken += length;
    }
    return taken;
  }

  get #room(): number {
    return inputBytes - (this.inputHead - this.told().input);
  }

  /** Notes in the same write who sent it: the next agent knows what came. */
  #append(payload: Uint8Array, sender: InputSender | undefined): void {
    const { length } = payload;
    const head = this.inputHead;
    const straight = Math.min(length, inputBytes - (head % inputBytes));
    writeSync(this.fd, payload, 0, straight, at.input + (head % inputBytes));
    if (length > straight) writeSync(this.fd, payload, straight, length - straight, at.input);
    this.#asked.writeBigUInt64LE(BigInt(head + length), 8);
    if (sender) this.#ask(sender, length);
    else this.#ask();
  }

  /** How many bytes of a client's input were ever taken; undefined for one that is not remembered. */
  receivedFrom(id: bigint): number | undefined {
    const table = this.#clients();
    const slot = slotOf(table, id);
    return slot === undefined ? undefined : number(table, slot * slotBytes + 8);
  }

  writeRecord(record: unknown): void {
    const text = Buffer.from(JSON.stringify(record));
    writeSync(this.fd, text, 0, text.length, at.record);
    ftruncateSync(this.fd, at.record + text.length);
  }

  /** Undefined where none was written. @throws SyntaxError */
  readRecord(): unknown {
    const length = fstatSync(this.fd).size - at.record;
    if (length <= 0 || length > maxRecordBytes) return undefined;
    return JSON.parse(this.#bytes(at.record, length).toString('utf8'));
  }

  #ring(from: number, length: number): Buffer {
    const payload = Buffer.allocUnsafe(length);
    const straight = Math.min(length, ringBytes - (from % ringBytes));
    readSync(this.fd, payload, 0, straight, at.output + (from % ringBytes));
    if (length > straight) readSync(this.fd, payload, straight, length - straight, at.output);
    return payload;
  }

  /** The run that a position is in, or the next one that is still known. */
  #runOf(position: number, runs: number): { start: number; end: number | undefined; channel: number } | undefined {
    if (runs === 0) return undefined;
    const table = runs === 1 ? this.#bytes(at.runs, 8) : this.#bytes(at.runs, Math.min(runs, runCount) * 8);
    const oldest = Math.max(0, runs - runCount);
    let [low, high] = [oldest, runs - 1];
    while (low < high) {
      const middle = low + Math.ceil((high - low) / 2);
      if (startOf(table, middle) <= position) low = middle;
      else high = middle - 1;
    }
    return {
      start: startOf(table, low),
      end: low + 1 < runs ? startOf(table, low + 1) : undefined,
      channel: table.readUInt8((low % runCount) * 8),
    };
  }

  #ask(sender?: InputSender, length = 0): void {
    if (sender === undefined) {
      writeSync(this.fd, this.#asked, 0, askedLength, at.asked);
      return;
    }
    const table = this.#clients();
    const slot = slotOf(table, sender.id) ?? freeSlot(table);
    table.writeBigUInt64LE(sender.id, slot * slotBytes);
    table.writeBigUInt64LE(BigInt(sender.received + length), slot * slotBytes + 8);
    table.writeBigUInt64LE(BigInt(this.inputHead), slot * slotBytes + 16);
    // One write within one page: a SIGKILL does not part it.
    const both = Buffer.alloc(at.clients - at.asked + tableBytes);
    this.#asked.copy(both);
    table.copy(both, at.clients - at.asked);
    writeSync(this.fd, both, 0, both.length, at.asked);
  }

  #clients(): Buffer {
    return this.#bytes(at.clients, tableBytes);
  }

  #setFlag(flag: number, on: boolean): void {
    const flags = this.#asked.readUInt32LE(24);
    this.#asked.writeUInt32LE(on ? flags | flag : flags & ~flag, 24);
  }

  #bytes(position: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    readSync(this.fd, bytes, 0, length, position);
    return bytes;
  }

  /** Until two readings agree: the kernel promises nothing about a copy of what another one is writing. */
  #stable(position: number, length: number): Buffer {
    let last = this.#bytes(position, length);
    for (;;) {
      const next = this.#bytes(position, length);
      if (last.equals(next)) return next;
      last = next;
    }
  }
}

/** id, bytes received, position in the session's input at that time (the oldest is forgotten first). */
const slotBytes = 24;
const slots = 32;
const tableBytes = slots * slotBytes;

const number = (bytes: Buffer, offset: number): number => Number(bytes.readBigUInt64LE(offset));

const startOf = (table: Buffer, run: number): number => Number(table.readBigUInt64LE((run % runCount) * 8) >> 8n);

function slotOf(table: Buffer, id: bigint): number | undefined {
  for (let slot = 0; slot < slots; slot++) if (table.readBigUInt64LE(slot * slotBytes) === id) return slot;
  return undefined;
}

function freeSlot(table: Buffer): number {
  let oldest = 0;
  for (let slot = 0; slot < slots; slot++) {
    if (table.readBigUInt64LE(slot * slotBytes) === 0n) return slot;
    if (number(table, slot * slotBytes + 16) < number(table, oldest * slotBytes + 16)) oldest = slot;
  }
  return oldest;
}
