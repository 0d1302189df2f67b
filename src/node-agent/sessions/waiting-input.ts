import { unconfirmedInputBytes } from '../../wire/resume.ts';

const blockBytes = 64 * 1024;
/** What a client may have sent ahead, and a read of its own besides. */
const mostBytes = unconfirmedInputBytes + 4 * blockBytes;
/** Of all clients of this agent: many that send ahead must not fill a node's memory. Whoever comes beyond it is not read on, and may so wait for itself. */
export const mostBlocks = 512;
let blocksInUse = 0;

/**
 * Input of one client that the session does not take yet. It is read on behind it, because the client's word about output comes by the same way: a
 * command that waits until its output is taken, and reads no input until then, would wait for ever. Copied, so that a million frames of one byte are a megabyte.
 */
export class WaitingInput {
  readonly #blocks: { readonly bytes: Buffer; from: number; to: number }[] = [];
  #length = 0;
  /** Behind all of it the input ends. */
  ended = false;

  get empty(): boolean {
    return this.#length === 0;
  }

  /** False: there is no room for it. */
  push(payload: Uint8Array): boolean {
    if (this.#length + payload.length > mostBytes) return false;
    if (blocksInUse + Math.ceil(payload.length / blockBytes) > mostBlocks) return false;
    for (let at = 0; at < payload.length; ) {
      let last = this.#blocks.at(-1);
      if (last === undefined || last.to === blockBytes) {
        last = { bytes: Buffer.allocUnsafeSlow(blockBytes), from: 0, to: 0 };
        this.#blocks.push(last);
        blocksInUse += 1;
      }
      const piece = payload.subarray(at, at + blockBytes - last.to);
      last.bytes.set(piece, last.to);
      last.to += piece.length;
      at += piece.length;
    }
    this.#length += payload.length;
    return true;
  }

  /** Hands it on, in order, as long as `take` takes anything; it answers how much it took. */
  flow(take: (payload: Uint8Array) => number): void {
    for (let block = this.#blocks[0]; block !== undefined; block = this.#blocks[0]) {
      const taken = take(block.bytes.subarray(block.from, block.to));
      block.from += taken;
      this.#length -= taken;
      if (block.from < block.to) return;
      this.#blocks.shift();
      blocksInUse -= 1;
    }
  }

  /** Nobody takes it any more. */
  drop(): void {
    blocksInUse -= this.#blocks.length;
    this.#blocks.length = 0;
    this.#length = 0;
  }
}
