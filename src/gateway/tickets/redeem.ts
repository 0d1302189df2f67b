import { timingSafeEqual } from 'node:crypto';
import { type DebugAttachment, secretDigest, ticketTtlMs } from '../../api/debug-attachment.ts';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { parseTicket, type ShownTicket } from '../../wire/ticket.ts';
import type { Tickets, UserInfo } from '../kubernetes.ts';

/** Who came, and the one session that they came for. */
export interface Visitor {
  readonly user: UserInfo;
  readonly namespace: string;
  readonly sessionName: string;
}

/**
 * Whose ticket it is, once: it is gone afterwards, whatever becomes of the visit.
 * @throws CrashcartError Unauthorized; Unavailable when the API server cannot be asked: an error never allows
 */
export async function redeem(header: string | undefined, tickets: Tickets, now = Date.now()): Promise<Visitor> {
  const shown = parseTicket(header);
  if (!shown) throw unauthorized('this door opens for who shows a ticket: use kubectl crashcart');
  try {
    const ticket = await tickets.get(shown.namespace, shown.name);
    const refusal = judge(ticket, shown, now);
    if (ticket === undefined || refusal !== undefined) throw unauthorized(refusal ?? unknown);
    // Taken before anything else is done with it: of two who show it, at the same moment and to two replicas, one is let in.
    if (!(await tickets.take(ticket))) throw unauthorized('this ticket has been used: attach again');
    return { user: userOf(ticket), namespace: ticket.namespace, sessionName: ticket.sessionName };
  } catch (caught) {
    if (caught instanceof CrashcartError && caught.reason === reasons.Unauthorized) throw caught;
    throw new CrashcartError(reasons.Unavailable, 'the ticket could not be looked at: try again in a moment', {
      cause: caught,
    });
  }
}

const unknown = 'there is no such ticket, or it has been used: attach again';

/** Why it opens nothing; undefined: it does. The same words for one that never was and for a wrong secret. */
export function judge(ticket: DebugAttachment | undefined, { secret }: ShownTicket, now: number): string | undefined {
  if (ticket === undefined) return unknown;
  const [expected, shown] = [Buffer.from(ticket.secretSha256), Buffer.from(secretDigest(secret))];
  if (expected.length !== shown.length || !timingSafeEqual(expected, shown)) return unknown;
  return Math.abs(now - ticket.createdAtMs) > ticketTtlMs
    ? `this ticket is of ${new Date(ticket.createdAtMs).toISOString()}, and one is good for ${ticketTtlMs / 1_000} s: attach again`
    : undefined;
}

const userOf = ({ requestedBy: { username, uid, groups, extra } }: DebugAttachment): UserInfo => ({
  name: username,
  ...(uid === undefined ? {} : { uid }),
  groups,
  extra,
});

const unauthorized = (message: string): CrashcartError => new CrashcartError(reasons.Unauthorized, message);
