import type { IncomingHttpHeaders } from 'node:http';
import type { WebSocket } from 'ws';
import { attachPath } from '../api/names.ts';
import { recordedHeader } from '../wire/agent-protocol.ts';
import { protocols } from '../wire/channel.ts';
import { type ResumeRequest, resumeQuery } from '../wire/resume.ts';
import type { ApiClient } from './api-client.ts';
import { askGateway } from './front-door.ts';
import { openWebSocket } from './web-socket.ts';

export interface Attachment {
  readonly namespace: string;
  readonly name: string;
  readonly tty: boolean;
  readonly stdin: boolean;
  /** Read along only: nothing that is sent reaches the session, and nobody else is disturbed. */
  readonly observe?: boolean;
}

/** The gateway holds the request for up to 30 s while the session is prepared, and then answers in any case. */
const handshakeMs = 45_000;
const maxMessageBytes = 1024 * 1024;

const recorded = new WeakSet<WebSocket>();
/** Whether what this session shows is recorded: the person must be told. */
export const isRecorded = (socket: WebSocket): boolean => recorded.has(socket);

/** Opens the stream of a session, paused. @throws as `openWebSocket` does */
export function openAttach(
  api: ApiClient,
  wanted: Attachment,
  signal: AbortSignal,
  resume?: ResumeRequest,
): Promise<WebSocket> {
  return askGateway(api, wanted, signal, (gateway) => attachTo(gateway, wanted, signal, resume));
}

function attachTo(
  api: ApiClient,
  { namespace, name, stdin, tty, observe }: Attachment,
  signal: AbortSignal,
  resume: ResumeRequest | undefined,
): Promise<WebSocket> {
  const query = {
    stdin,
    stdout: true,
    stderr: !tty,
    tty,
    ...(observe ? { observe } : {}),
    ...(resume ? resumeQuery(resume) : {}),
  };
  const upgrade = {
    path: attachPath(namespace, name),
    query,
    protocols,
    maxMessageBytes,
    waitMs: handshakeMs,
    late: 'the session was not ready',
    onHeaders: (headers: IncomingHttpHeaders, socket: WebSocket) => {
      if (headers[recordedHeader] !== undefined) recorded.add(socket);
    },
  };
  return openWebSocket(api, upgrade, signal);
}
