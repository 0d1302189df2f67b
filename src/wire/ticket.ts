/** What a client shows at the gateway's front door, in the Authorization header of its first request there. */
export interface ShownTicket {
  readonly namespace: string;
  readonly name: string;
  /** 32 random bytes, base64url. */
  readonly secret: string;
}

const scheme = 'Crashcart-Ticket';
const shape = new RegExp(
  `^${scheme} ([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)/([a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?):([A-Za-z0-9_-]{43})$`,
);

export const formatTicket = ({ namespace, name, secret }: ShownTicket): string =>
  `${scheme} ${namespace}/${name}:${secret}`;

/** Undefined: it is none. */
export function parseTicket(header: string | undefined): ShownTicket | undefined {
  const [, namespace, name, secret] = shape.exec(header ?? '') ?? [];
  return namespace === undefined || name === undefined || secret === undefined
    ? undefined
    : { namespace, name, secret };
}
