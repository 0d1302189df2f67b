import { readFile } from 'node:fs/promises';
import tls, { createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { tunnelAlpn } from '../../wire/tunnel.ts';

export interface GatewayAddress {
  readonly address: string;
  readonly port: number;
  /** The name that the gateway's certificate must have, whatever the address. */
  readonly serverName: string;
  /** PEM; read anew for each dial, because the CA is renewed under us. */
  readonly caFile: string;
}

/** A gateway in the same cluster that takes longer than this is not there. */
const connectTimeoutMs = 10_000;

/** Of the CA file as it was read last: parsing it costs more than all the rest of a dial. */
let trusted: { readonly ca: Buffer; readonly context: SecureContext } | undefined;

function trustIn(ca: Buffer): SecureContext {
  if (!trusted?.ca.equals(ca)) trusted = { ca, context: createSecureContext({ ca }) };
  return trusted.context;
}

/** A TLS connection to a gateway whose certificate was verified. @throws CrashcartError Unavailable, with what to look at */
export async function dialGateway({ address, port, serverName, caFile }: GatewayAddress): Promise<TLSSocket> {
  const ca = await readFile(caFile);
  const secureContext = trustIn(ca);
  const socket = tls.connect({ host: address, port, secureContext, servername: serverName, ALPNProtocols: tunnelAlpn });
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown): void => {
      clearTimeout(timer);
      socket.destroy();
      const message = `could not reach the gateway at ${address} port ${port} as ${serverName}: ${why}`;
      reject(new CrashcartError(reasons.Unavailable, message, cause === undefined ? {} : { cause }));
    };
    const timer = setTimeout(() => fail(`no answer within ${connectTimeoutMs / 1_000} s`), connectTimeoutMs);
    // Kept for the socket's whole life; after the first settlement it has nothing left to do.
    socket.on('error', (error) => fail(error.message, error));
    socket.once('close', () => fail('it closed the connection'));
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      resolve(socket);
    });
  });
}
