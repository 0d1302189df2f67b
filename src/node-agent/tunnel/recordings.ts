import type { ServerHttp2Stream } from 'node:http2';
import { pipeline } from 'node:stream/promises';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { paths, recordingLengthHeader } from '../../wire/agent-protocol.ts';
import { castMediaType } from '../../wire/asciicast.ts';
import { isSessionUid } from '../../wire/desired-session.ts';
import type { Recordings } from '../recording/recordings.ts';
import type { Request } from './resources.ts';

const recordingPath = new RegExp(`^${paths.recordings}(?:/([^/]+))?$`);
/** Of one answer. */
const maxBytes = 2 ** 40;

export const isRecordingPath = (path: string): boolean => recordingPath.test(path);

/** @throws CrashcartError before anything was answered */
export async function serveRecording(
  stream: ServerHttp2Stream,
  { method, path, query }: Request,
  { recordings, answer }: { readonly recordings: Recordings | undefined; readonly answer: (body: unknown) => void },
): Promise<void> {
  const [, uid] = recordingPath.exec(path) ?? [];
  if (uid === undefined && method === 'GET') return answer({ recordings: recordings?.list() ?? [] });
  if (uid === undefined || !isSessionUid(uid))
    throw new CrashcartError(reasons.Invalid, 'the agent has no such recording');
  if (recordings === undefined) throw new CrashcartError(reasons.NotFound, 'This node keeps no recordings.');
  if (method === 'DELETE') {
    await recordings.remove(uid, query.get('sha256') ?? '');
    return answer({});
  }
  if (method !== 'GET') throw new CrashcartError(reasons.Invalid, `a recording takes no ${method.slice(0, 16)}`);
  const { length, bytes } = await recordings.read(uid, number(query, 'from', 0), number(query, 'limit', maxBytes));
  if (stream.destroyed) return void bytes?.destroy();
  stream.respond({ ':status': 200, 'content-type': castMediaType, [recordingLengthHeader]: `${length}` });
  if (bytes === undefined) return void stream.end();
  // A gateway that lets go ends the reading; what could not be read must not look like the end.
  await pipeline(bytes, stream).catch(() => stream.destroy());
}

function number(query: URLSearchParams, name: string, otherwise: number): number {
  const text = query.get(name);
  if (text === null) return otherwise;
  const value = Number(text);
  if (/^\d{1,15}$/.test(text)) return value;
  throw new CrashcartError(reasons.Invalid, `${name} must be a number of bytes`);
}
