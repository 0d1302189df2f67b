/** A node's recordings in a directory of the test's, and one that was made there. */
import { silentLogger } from '../../src/base/log.ts';
import { Recordings } from '../../src/node-agent/recording/recordings.ts';
import type { StoredRecording } from '../../src/wire/agent-protocol.ts';
import { channels } from '../../src/wire/channel.ts';

export const openRecordings = (directory: string): Promise<Recordings> =>
  Recordings.open({
    directory,
    maxBytes: 16 * 1024 ** 2,
    totalBytes: 64 * 1024 ** 2,
    keepMs: 3_600_000,
    log: silentLogger,
  });

/** A finished recording of a session in the namespace `shop` that showed `text`. */
export async function record(
  recordings: Recordings,
  about: { readonly uid: string; readonly session: string },
  text: string | Uint8Array,
): Promise<StoredRecording> {
  const whose = { namespace: 'shop', ...about };
  const rest = { pod: 'web-0', podUid: 'p', container: 'web', profile: 'general', tty: true };
  const header = { version: 2, width: 80, height: 24, timestamp: 1, crashcart: { ...whose, ...rest } } as const;
  const recorder = await recordings.begin(header, { onFailure: () => {}, onDrain: () => {} });
  recorder.output(channels.stdout, Buffer.from(text));
  return recordings.finish(recorder, whose, 'ended');
}
