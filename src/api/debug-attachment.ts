/** The DebugAttachment as it stands in the API server: crds/debugattachment.yaml is the same in OpenAPI. A ticket that opens one connection. */
import { createHash } from 'node:crypto';
import type { Requester } from './debug-session.ts';
import { fields, optionalText, required, some, text, textList } from './read.ts';

/** How long one may be used after its creation, by the clocks of API server and gateway: they may be some seconds apart. */
export const ticketTtlMs = 60_000;

export interface DebugAttachment {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly createdAtMs: number;
  readonly sessionName: string;
  /** Of the ticket's secret, which is in nobody's hands but its creator's: SHA-256 in hex. */
  readonly secretSha256: string;
  readonly requestedBy: Ticketholder;
}

/** Checked by the admission policy: who created the object, as the API server knows them. */
export interface Ticketholder extends Requester {
  /** Some platforms narrow a token's rights by it. */
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

export const secretDigest = (secret: string): string => createHash('sha256').update(secret).digest('hex');

/** @throws ParseError */
export function parseDebugAttachment(value: unknown): DebugAttachment {
  const object = fields(value, 'object');
  const metadata = fields(object['metadata'], 'metadata');
  const spec = fields(object['spec'], 'spec');
  const at = 'spec.requestedBy';
  const requestedBy = fields(spec['requestedBy'], at);
  const extra = fields(requestedBy['extra'] ?? {}, `${at}.extra`);
  const created = Date.parse(text(metadata, 'creationTimestamp', 'metadata'));
  return {
    name: text(metadata, 'name', 'metadata'),
    namespace: text(metadata, 'namespace', 'metadata'),
    uid: text(metadata, 'uid', 'metadata'),
    createdAtMs: required(Number.isFinite(created) ? created : undefined, 'metadata.creationTimestamp'),
    sessionName: text(spec, 'sessionName', 'spec'),
    secretSha256: text(spec, 'secretSHA256', 'spec'),
    requestedBy: {
      username: text(requestedBy, 'username', at),
      ...some('uid', optionalText(requestedBy, 'uid', at) || undefined),
      groups: textList(requestedBy, 'groups', at) ?? [],
      // fromEntries defines own properties, so that a key `__proto__` is a key like any other.
      extra: Object.fromEntries(
        Object.keys(extra).map((key) => [key, required(textList(extra, key, `${at}.extra`), `${at}.extra.${key}`)]),
      ),
    },
  };
}
