import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { type WebSocket, WebSocketServer } from 'ws';
import { attachPath, frontDoorPath, recordingPath } from '../../api/names.ts';
import { CrashcartError, describe, reasons } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { byteStream, maxBytesMessage } from '../../wire/byte-stream.ts';
import type { AttachServer } from '../attach.ts';
import type { Tickets } from '../kubernetes.ts';
import type { RecordingServer } from '../recordings/serve.ts';
import { refuseRequest, refuseUpgrade } from '../refuse.ts';
import type { ServingCertificate } from '../tunnel-listener.ts';
import { redeem, type Visitor } from './redeem.ts';

export interface FrontDoorOptions {
  readonly tickets: Tickets;
  readonly attach: Pick<AttachServer, 'upgrade'>;
  readonly recordings?: Pick<RecordingServer, 'answer'>;
  readonly log: Logger;
}

/** A connection at the door, and how the server is told that it is no stranger's any more. */
interface Guest {
  readonly passed: () => void;
  visitor?: Promise<Visitor>;
}

const maxHeaderBytes = 64 * 1024;
const headersMs = 10_000;

/**
 * attach.mode Ticket, for clusters that have no place for an APIService. A user comes through the proxy of our Service, which names nobody and does not
 * look at our certificate. So the outer WebSocket carries bytes only: in it the client begins TLS with us anew, and sees that it is us. Its first
 * request shows a ticket that says who it is; the connection then is that visitor's, for that session.
 */
export class FrontDoor {
  readonly #options: FrontDoorOptions;
  readonly #outer = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: maxBytesMessage });
  readonly #inner: http.Server;
  #context: SecureContext | undefined;
  /** By the connection on which TLS begins anew. */
  readonly #guests = new WeakMap<Duplex, Guest>();

  constructor(options: FrontDoorOptions) {
    this.#options = options;
    // It listens nowhere: its connections are those that came through the door.
    this.#inner = http.createServer({ maxHeaderSize: maxHeaderBytes });
    this.#inner.headersTimeout = headersMs;
    this.#inner.on('request', (request, response) => void this.#answer(request, response));
    this.#inner.on('upgrade', (request, socket, head) => void this.#upgrade(request, socket, head));
  }

  setCertificate(certificate: ServingCertificate): void {
    this.#context = createSecureContext(certificate);
  }

  handles(request: IncomingMessage): boolean {
    return (request.url ?? '').split('?', 1)[0] === frontDoorPath;
  }

  /** Until `passed` is called, the caller sees to it that a connection does not stay for long. */
  enter(request: IncomingMessage, socket: Duplex, head: Buffer, passed: () => void): void {
    this.#outer.handleUpgrade(request, socket, head, (client) => this.#welcome(client, passed));
  }

  close(): void {
    // Those inside are told by the attach server; with them their connections go.
    this.#outer.close();
    this.#inner.close();
  }

  #welcome(client: WebSocket, passed: () => void): void {
    const stream = byteStream(client);
    const failed = (error: Error): void => {
      this.#options.log.debug('a connection at the front door failed', { error: describe(error) });
      client.terminate();
    };
    stream.on('error', failed);
    if (!this.#context) {
      client.close(1013, 'this replica has no certificate yet: try again');
      return;
    }
    const socket = new TLSSocket(stream, { isServer: true, secureContext: this.#context });
    socket.on('error', failed);
    // Nobody may be reading, and then TLS does not see the end of what carries it.
    client.once('close', () => socket.destroy());
    this.#guests.set(socket, { passed });
    socket.once('secure', () => this.#inner.emit('connection', socket));
  }

  async #visitor(request: IncomingMessage): Promise<Visitor> {
    const guest = this.#guests.get(request.socket);
    if (!guest) throw new CrashcartError(reasons.Internal, 'a connection at the front door that nobody let in');
    // A recording comes in parts, over one connection: it is asked about once.
    guest.visitor ??= redeem(request.headers.authorization, this.#options.tickets).then((visitor) => {
      guest.passed();
      return visitor;
    });
    return await guest.visitor;
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy());
    try {
      const { user, namespace, sessionName } = await this.#visitor(request);
      requirePath(request, attachPath(namespace, sessionName));
      await this.#options.attach.upgrade({ request, socket, head, user });
    } catch (caught) {
      refuseUpgrade(socket, this.#refused(caught));
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { user, namespace, sessionName } = await this.#visitor(request);
      requirePath(request, recordingPath(namespace, sessionName));
      if (!this.#options.recordings || request.method !== 'GET') throw nothingHere;
      await this.#options.recordings.answer(request, response, user);
    } catch (caught) {
      refuseRequest(response, this.#refused(caught));
    }
  }

  #refused(caught: unknown): CrashcartError {
    const error = CrashcartError.from(caught);
    this.#options.log.info('refused at the front door', { reason: error.reason, error: describe(error) });
    return error;
  }
}

const nothingHere = new CrashcartError(reasons.NotFound, 'there is nothing at this path');

/** A ticket is for one session: what it has created says so in the audit log. */
function requirePath(request: IncomingMessage, path: string): void {
  if ((request.url ?? '').split('?', 1)[0] === path) return;
  throw new CrashcartError(reasons.Forbidden, `this ticket is for ${path} only`);
}
