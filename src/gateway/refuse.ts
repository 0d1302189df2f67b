import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { CrashcartError } from '../base/errors.ts';
import { httpCodeOf, type Status, statusOfError } from '../wire/status.ts';

/** kube-apiserver hands a refusal's body on to the client when it comes as a plain HTTP answer before the upgrade. */
const contentType = 'application/json';

/** Answers an upgrade with a Status instead of 101 and closes the connection. */
export function refuseUpgrade(socket: Duplex, error: CrashcartError, status: Status = statusOfError(error)): void {
  if (socket.destroyed) return;
  const code = httpCodeOf(error.reason);
  const body = Buffer.from(JSON.stringify(status));
  const head = [
    `HTTP/1.1 ${code} ${STATUS_CODES[code] ?? ''}`,
    `Content-Type: ${contentType}`,
    `Content-Length: ${body.length}`,
    'Connection: close',
    '',
    '',
  ].join('\r\n');
  socket.end(Buffer.concat([Buffer.from(head), body]));
}

export function refuseRequest(response: ServerResponse, error: CrashcartError): void {
  const body = JSON.stringify(statusOfError(error));
  response.writeHead(httpCodeOf(error.reason), {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}
