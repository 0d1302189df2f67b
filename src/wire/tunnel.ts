import http2, { type ClientHttp2Session, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { CrashcartError, reasons } from '../base/errors.ts';
import { type KeepAliveOptions, keepAlive } from './keep-alive.ts';

/** Both ends offer it and nothing else: a TLS client that is not an agent fails in the handshake. */
export const tunnelAlpn = ['h2'];

/** 1 MiB is where the bridge stops gaining on loopback (980 MB/s); it is also what one reader that stalls may hold. */
const windowBytes = 1024 * 1024;
/**
 * Node gives the connection's window back as soon as data arrives and holds back a stream's only, so a reader that stalls
 * never stops the others; 64 KiB, the default, would bound all streams together to that per round trip.
 */
const connectionWindowBytes = 4 * windowBytes;
/** A whole frame of frames.ts and its header fit in one DATA frame. */
const maxFrameSize = 64 * 1024;
/** Node refuses new streams over this; a hundred stalled ones must not. */
const maxSessionMemoryMb = 256;
const maxStreams = 1024;

const settings = {
  enablePush: false,
  initialWindowSize: windowBytes,
  maxFrameSize,
  maxConcurrentStreams: maxStreams,
  maxHeaderListSize: 64 * 1024,
} as const;

export type TunnelOptions = KeepAliveOptions;

/**
 * The agent's half of D1: *serves* HTTP/2 on a connection that it dialled. The session ends itself when the peer is dead;
 * its 'close' event is the one end of the tunnel, whatever the cause. Destroying it destroys the socket.
 */
export function serveTunnel(
  socket: TLSSocket,
  onStream: (stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
  options: TunnelOptions = {},
): ServerHttp2Session {
  requireH2(socket);
  const session = http2.performServerHandshake(socket, { settings, maxSessionMemory: maxSessionMemoryMb });
  session.on('stream', onStream);
  return watch(session, socket, options);
}

/**
 * The gateway's half of D1: the HTTP/2 *client* on a connection that it accepted. The same end as `serveTunnel`.
 */
export function connectTunnel(socket: TLSSocket, options: TunnelOptions = {}): ClientHttp2Session {
  requireH2(socket);
  // The authority is only a name: createConnection hands over the socket that is there already.
  const session = http2.connect('https://agent.invalid', {
    createConnection: () => socket,
    settings,
    maxSessionMemory: maxSessionMemoryMb,
    // The agent is the server here and might open streams of its own; it has no reason to.
    maxReservedRemoteStreams: 0,
  });
  return watch(session, socket, options);
}

function watch<T extends ClientHttp2Session | ServerHttp2Session>(
  session: T,
  socket: TLSSocket,
  options: TunnelOptions,
): T {
  socket.setNoDelay(true);
  const widen = (): void => session.setLocalWindowSize(connectionWindowBytes);
  if (session.connecting) session.once('connect', widen);
  else widen();
  const stop = keepAlive(
    {
      ping: (onPong) => {
        session.ping((error) => {
          if (!error) onPong();
        });
      },
      dead: () => session.destroy(new CrashcartError(reasons.Timeout, 'the other end of the tunnel does not answer')),
    },
    options,
  );
  session.once('close', stop);
  return session;
}

function requireH2(socket: TLSSocket): void {
  if (socket.alpnProtocol === 'h2') return;
  socket.destroy();
  throw new CrashcartError(reasons.Invalid, 'the other end of the tunnel does not speak HTTP/2 (ALPN h2)');
}
