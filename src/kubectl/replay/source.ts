import { createHash } from 'node:crypto';
import { plural, recordingPath, recordingSubresource } from '../../api/names.ts';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { recordingLengthHeader } from '../../wire/agent-protocol.ts';
import type { ApiClient, BytesAnswer } from '../api-client.ts';
import { explain } from '../api-refusal.ts';
import { askGateway } from '../front-door.ts';

export interface RecordingPlace {
  readonly namespace: string;
  readonly name: string;
}

/** The API server cuts a plain request after a minute: a long recording comes in parts. The gateway may give less. */
const partBytes = 4 * 1024 * 1024;
/** For the way to the gateway to open. */
const firstPartMs = 60_000;
/** An event is one frame of 60 KiB, six bytes for each of them at most. */
const longestLine = 512 * 1024;

/** A recording as the API server gives it, in parts, its checksum kept along the way. */
export class RecordingSource {
  readonly #api: ApiClient;
  readonly #place: RecordingPlace;
  readonly #hash = createHash('sha256');
  /** The way that the first part took is that of the others. */
  #gateway: ApiClient | undefined;

  constructor(api: ApiClient, place: RecordingPlace) {
    this.#api = api;
    this.#place = place;
  }

  async close(): Promise<void> {
    await this.#gateway?.close();
  }

  /** Of what was read so far, in hex. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  /** The next part is on its way while this one is used. @throws CrashcartError for a person */
  async *parts(): AsyncGenerator<Buffer, void, undefined> {
    let next = this.#ask(0);
    for (let from = 0; ; ) {
      const { bytes, length } = await next;
      from += bytes.length;
      const more = bytes.length > 0 && from < length;
      if (more) {
        next = this.#ask(from);
        next.catch(() => undefined); // whoever awaits it sees it
      }
      this.#hash.update(bytes);
      yield bytes;
      if (!more) return;
    }
  }

  /** Whole lines without their end; one that is still being written is left out. */
  async *lines(): AsyncGenerator<string, void, undefined> {
    let rest = Buffer.alloc(0);
    for await (const part of this.parts()) {
      rest = Buffer.concat([rest, part]);
      let start = 0;
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10, start)) {
        yield rest.toString('utf8', start, end);
        start = end + 1;
      }
      rest = rest.subarray(start);
      if (rest.length > longestLine)
        throw new CrashcartError(reasons.Invalid, 'the recording has a line that is too long');
    }
  }

  async #ask(from: number): Promise<{ readonly bytes: Buffer; readonly length: number }> {
    const { namespace, name } = this.#place;
    const query = { from: `${from}`, limit: `${partBytes}` };
    const ask = async (gateway: ApiClient): Promise<BytesAnswer> => {
      const answer = await gateway.bytes({ path: recordingPath(namespace, name), query }, partBytes);
      this.#gateway = gateway;
      return answer;
    };
    try {
      const { bytes, headers } = this.#gateway
        ? await ask(this.#gateway)
        : await askGateway(this.#api, this.#place, AbortSignal.timeout(firstPartMs), ask);
      return { bytes, length: Number(headers[recordingLengthHeader]) || 0 };
    } catch (caught) {
      throw explain(caught, { verb: 'get', resource: `${plural}/${recordingSubresource}`, namespace, name });
    }
  }
}
