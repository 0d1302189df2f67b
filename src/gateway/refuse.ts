import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { CrashcartError } from '../base/errors.ts';
import { httpCodeOf, type Status, statusOfError } from '../wire/status.ts';

/** kube-apiserver hands a refusal's body on to the client when it comes as a plain HTTP answer before the upgrade. */
const contentType = 'application/json';
/** kube-apiserver takes 10 s at most to pass a refusal on. */
const lingerMs = 10_000;

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
  // Node's HTTP server lets a client keep its half open for ever: it is read, to see its end, and cut if that does not come.
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.once('close', () => clearTimeout(timer));
  socket.resume();
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
