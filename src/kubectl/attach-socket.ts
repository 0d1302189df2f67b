import { WebSocket } from 'ws';
import { attachPath } from '../api/names.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import { recordedHeader } from '../wire/agent-protocol.ts';
import { protocols } from '../wire/channel.ts';
import { type ResumeRequest, resumeQuery } from '../wire/resume.ts';
import { type ApiClient, readBody } from './api-client.ts';
import { ApiRefusal } from './api-refusal.ts';
import { askGateway } from './front-door.ts';

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
const statusBytes = 256 * 1024;
const messageBytes = 1024 * 1024;

const recorded = new WeakSet<WebSocket>();
/** Whether what this session shows is recorded: the person must be told. */
export const isRecorded = (socket: WebSocket): boolean => recorded.has(socket);

/**
 * Opens the stream of a session. It is returned paused: no byte is lost between the handshake and the caller's listeners.
 * @throws ApiRefusal when it was refused, CrashcartError when nobody answered, the signal's reason when it was aborted
 */
export function openAttach(
  api: ApiClient,
  wanted: Attachment,
  signal: AbortSignal,
  resume?: ResumeRequest,
): Promise<WebSocket> {
  return askGateway(api, wanted, signal, (gateway) => attachTo(gateway, wanted, signal, resume));
}

async function attachTo(
  api: ApiClient,
  wanted: Attachment,
  signal: AbortSignal,
  resume: ResumeRequest | undefined,
): Promise<WebSocket> {
  const { agent, options, headers } = await api.access();
  const { stdin, tty, observe } = wanted;
  const query = {
    stdin,
    stdout: true,
    stderr: !tty,
    tty,
    ...(observe ? { observe } : {}),
    ...(resume ? resumeQuery(resume) : {}),
  };
  const url = api.url(attachPath(wanted.namespace, wanted.name), query);
  url.protocol = 'wss:';
  signal.throwIfAborted();
  const socket = new WebSocket(url, [...protocols], {
    ...options,
    agent,
    headers,
    handshakeTimeout: handshakeMs,
    perMessageDeflate: false,
    maxPayload: messageBytes,
  });
  const { promise, resolve, reject } = Promise.withResolvers<WebSocket>();
  const onAbort = (): void => socket.terminate();
  signal.addEventListener('abort', onAbort, { once: true });
  socket.once('upgrade', ({ headers }) => {
    if (headers[recordedHeader] !== undefined) recorded.add(socket);
  });
  socket.once('open', () => {
    socket.pause();
    resolve(socket);
  });
  socket.once('unexpected-response', (request, response) => {
    readBody(response, statusBytes)
      .then((body) => reject(new ApiRefusal(body, response.statusCode ?? 0)))
      .catch((cause) => reject(api.failure(cause)))
      .finally(() => request.destroy());
  });
  socket.once('error', (cause) => reject(signal.aborted ? signal.reason : handshakeFailure(api, cause)));
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', onAbort);
    // From here on errors are told by the close event; without a listener they would end the process.
    socket.on('error', () => undefined);
  }
}

function handshakeFailure(api: ApiClient, cause: Error): CrashcartError {
  if (/handshake has timed out/.test(cause.message)) {
    return new CrashcartError(reasons.Timeout, `the session was not ready in ${handshakeMs / 1_000} s`, { cause });
  }
  return api.failure(cause);
}
