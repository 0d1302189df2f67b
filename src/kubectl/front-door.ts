import { randomBytes, randomUUID } from 'node:crypto';
import { Agent } from 'node:https';
import type { Duplex } from 'node:stream';
import { connect, type TLSSocket } from 'node:tls';
import { secretDigest } from '../api/debug-attachment.ts';
import {
  apiVersion,
  attachmentKind,
  attachmentPlural,
  caConfigMap,
  caConfigMapKey,
  defaultNamespace,
  frontDoorPath,
  frontDoorService,
  gatewayService,
} from '../api/names.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import { byteStream, maxBytesMessage } from '../wire/byte-stream.ts';
import { formatTicket } from '../wire/ticket.ts';
import { ApiClient } from './api-client.ts';
import { ApiRefusal, explain, isNoSuchApi } from './api-refusal.ts';
import { openWebSocket } from './web-socket.ts';
import { whoAmI } from './whoami.ts';

export interface Destination {
  readonly namespace: string;
  /** Of the session. */
  readonly name: string;
}

/** Where Crashcart is installed, as far as one must know it to come in: there is no APIService that says it. */
export const installationNamespace = (): string => process.env['CRASHCART_NAMESPACE'] || defaultNamespace;

const connectMs = 30_000;

/** Whose gateway was found to have a front door: it is not asked for another way again. */
const withFrontDoor = new WeakSet<ApiClient>();

/**
 * Asks the gateway by the API server's aggregation layer; where there is none, through the front door (attach.mode Ticket).
 * @throws what `ask` throws, or CrashcartError when there is a front door that does not open
 */
export async function askGateway<T>(
  api: ApiClient,
  to: Destination,
  signal: AbortSignal,
  ask: (gateway: ApiClient) => Promise<T>,
): Promise<T> {
  let refused: unknown;
  if (!withFrontDoor.has(api)) {
    try {
      return await ask(api);
    } catch (caught) {
      if (!isNoSuchApi(caught)) throw caught;
      refused = caught;
    }
  }
  const gateway = await openFrontDoor(api, to, signal);
  // No DebugAttachment either: this cluster has no front door, and the first answer is the one to tell.
  if (!gateway) throw refused ?? new CrashcartError(reasons.NotFound, 'Crashcart’s front door is not there any more');
  withFrontDoor.add(api);
  return await ask(gateway);
}

/** A client of one connection to the gateway itself, on which it knows who we are. Undefined: there is no front door. */
async function openFrontDoor(api: ApiClient, to: Destination, signal: AbortSignal): Promise<ApiClient | undefined> {
  const installation = installationNamespace();
  const secret = randomBytes(32).toString('base64url');
  // The visit is found in the API server's audit log by the creation of its ticket.
  const auditId = randomUUID();
  // All at once; the ticket's own answer says first whether this is a cluster of this kind.
  const authority = settled(readAuthority(api, installation));
  const pipe = settled(openPipe(api, installation, signal));
  try {
    const ticket = await createTicket(api, to, secret, auditId);
    const socket = await handshake((await pipe)(), (await authority)(), installation);
    const server = new URL(`https://${gatewayName(installation)}`);
    const headers = {
      Authorization: formatTicket({ namespace: to.namespace, name: ticket, secret }),
      'Audit-ID': auditId,
    };
    const agent = new OneConnection(socket);
    return new ApiClient({ ...api.connection, server, credentials: async () => ({ tls: {}, headers, agent }) });
  } catch (caught) {
    void pipe.then((opened) => opened().destroy()).catch(() => undefined);
    if (isNoSuchApi(caught)) return undefined;
    throw caught;
  }
}

const gatewayName = (installation: string): string => `${gatewayService}.${installation}.svc`;

/** Waits without an unhandled rejection: what went wrong is thrown where the value is asked for. */
const settled = <T>(promise: Promise<T>): Promise<() => T> =>
  promise.then(
    (value) => () => value,
    (caught: unknown) => () => {
      throw caught;
    },
  );

async function createTicket(
  api: ApiClient,
  { namespace, name }: Destination,
  secret: string,
  auditId: string,
): Promise<string> {
  const resource = attachmentPlural;
  try {
    const requestedBy = await whoAmI(api);
    const made = (await api.send({
      method: 'POST',
      path: `/apis/${apiVersion}/namespaces/${encodeURIComponent(namespace)}/${resource}`,
      query: { fieldManager: 'kubectl-crashcart' },
      headers: { 'Audit-ID': auditId },
      body: {
        apiVersion,
        kind: attachmentKind,
        metadata: { generateName: `${name.slice(0, 57)}-`, namespace },
        spec: { sessionName: name, secretSHA256: secretDigest(secret), requestedBy },
      },
    })) as { metadata?: { name?: string } };
    return made.metadata?.name ?? '';
  } catch (caught) {
    if (isNoSuchApi(caught)) throw caught;
    throw explain(caught, { verb: 'create', resource, namespace });
  }
}

async function readAuthority(api: ApiClient, namespace: string): Promise<string> {
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps/${caConfigMap}`;
  try {
    const { data } = (await api.send({ path })) as { data?: Record<string, string> };
    return data?.[caConfigMapKey] ?? '';
  } catch (caught) {
    throw closed(caught, namespace);
  }
}

/** A byte stream to the gateway through its Service's proxy, which opens nothing by itself. */
async function openPipe(api: ApiClient, namespace: string, signal: AbortSignal): Promise<Duplex> {
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/services/${frontDoorService}/proxy${frontDoorPath}`;
  const upgrade = { path, maxMessageBytes: maxBytesMessage, waitMs: connectMs, late: 'the gateway gave no answer' };
  try {
    return byteStream(await openWebSocket(api, upgrade, signal));
  } catch (caught) {
    throw closed(caught, namespace);
  }
}

/** The proxy of a Service does not look at whose certificate it meets: we do, end to end. */
function handshake(pipe: Duplex, ca: string, installation: string): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  // An empty list would mean every authority of the world.
  const socket = connect({ socket: pipe, ca: [ca], servername: gatewayName(installation), minVersion: 'TLSv1.3' });
  const timer = setTimeout(() => socket.destroy(new Error(`no answer in ${connectMs / 1_000} s`)), connectMs);
  socket.once('secureConnect', () => resolve(socket));
  socket.once('error', (cause) => {
    const message = `the gateway behind ${frontDoorService} did not prove itself by the authority in ConfigMap ${installation}/${caConfigMap} (${cause.message}): try again; if it stays so, somebody may stand in between`;
    reject(new CrashcartError(reasons.Unavailable, message, { cause }));
  });
  pipe.once('error', (cause) => socket.destroy(cause));
  pipe.once('close', () => socket.destroy());
  return promise.finally(() => clearTimeout(timer));
}

/** An agent of node:https for the one connection that there is. */
class OneConnection extends Agent {
  readonly #socket: TLSSocket;

  constructor(socket: TLSSocket) {
    super({ keepAlive: true, maxSockets: 1 });
    this.#socket = socket;
    // Later errors are told by the close event.
    socket.on('error', () => undefined);
  }

  override createConnection(): Duplex {
    return this.#socket;
  }

  override destroy(): void {
    super.destroy();
    this.#socket.destroy();
  }
}

/** Refused by the API server on the way to the door. */
function closed(caught: unknown, namespace: string): unknown {
  if (!(caught instanceof ApiRefusal)) return caught;
  if (caught.code === 403) {
    const message = `not allowed: ${caught.message}; ask an administrator to bind the Role crashcart-front-door of namespace ${namespace} (value attach.ticket.subjects of the chart)`;
    return new CrashcartError(reasons.Forbidden, message, { cause: caught });
  }
  const hint = `see "kubectl -n ${namespace} get pods", and CRASHCART_NAMESPACE if Crashcart is installed in another namespace`;
  return new CrashcartError(caught.reason, `the gateway is not reached (${caught.message}): ${hint}`, {
    cause: caught,
  });
}
