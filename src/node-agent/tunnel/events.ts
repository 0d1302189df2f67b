import http2, { type ServerHttp2Stream } from 'node:http2';
import type { SessionEvent } from '../../wire/agent-protocol.ts';
import type { Sessions } from '../sessions/sessions.ts';

/** A gateway that does not read is cut off: at its next connection it gets a full list anyway. */
const maxWaitingBytes = 16 * 1024 * 1024;

/** The whole list first, then every change, one JSON value a line, for as long as the gateway holds the stream. */
export function serveEvents(stream: ServerHttp2Stream, sessions: Pick<Sessions, 'list' | 'onEvent'>): void {
  const send = (event: SessionEvent): void => {
    if (stream.destroyed || stream.writableEnded) return;
    stream.write(`${JSON.stringify(event)}\n`);
    if (stream.writableLength > maxWaitingBytes) stream.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
  };
  stream.respond({ ':status': 200, 'content-type': 'application/x-ndjson' });
  // Both in one turn: no change falls between the list and the first event.
  const stop = sessions.onEvent(send);
  stream.once('close', stop);
  send({ type: 'list', sessions: sessions.list() });
}
