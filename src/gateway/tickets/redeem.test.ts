import { expect, test } from 'vitest';
import { type DebugAttachment, secretDigest, ticketTtlMs } from '../../api/debug-attachment.ts';
import { formatTicket } from '../../wire/ticket.ts';
import type { Tickets } from '../kubernetes.ts';
import { redeem } from './redeem.ts';

const secret = 'secret'.padEnd(43, '-');
const now = Date.parse('2026-11-27T12:00:00Z');
const ticket: DebugAttachment = {
  name: 'web-abcde',
  namespace: 'shop',
  uid: 'ticket-uid',
  createdAtMs: now - 1_000,
  sessionName: 'web',
  secretSha256: secretDigest(secret),
  requestedBy: { username: 'alice', uid: 'u1', groups: ['devs'], extra: { scopes: ['user:info'] } },
};
const shown = formatTicket({ namespace: 'shop', name: 'web-abcde', secret });

class TicketsDouble implements Tickets {
  readonly kept = new Map([[`${ticket.namespace}/${ticket.name}`, ticket]]);
  fails: Error | undefined;

  async get(namespace: string, name: string): Promise<DebugAttachment | undefined> {
    if (this.fails) throw this.fails;
    return this.kept.get(`${namespace}/${name}`);
  }

  async take({ namespace, name }: Pick<DebugAttachment, 'namespace' | 'name'>): Promise<boolean> {
    return this.kept.delete(`${namespace}/${name}`);
  }
}

test('a ticket says who came, all that the API server knew of them, and for which session', async () => {
  expect(await redeem(shown, new TicketsDouble(), now)).toEqual({
    user: { name: 'alice', uid: 'u1', groups: ['devs'], extra: { scopes: ['user:info'] } },
    namespace: 'shop',
    sessionName: 'web',
  });
});

test('it opens once, also for two who show it at the same moment', async () => {
  const tickets = new TicketsDouble();
  const both = await Promise.allSettled([redeem(shown, tickets, now), redeem(shown, tickets, now)]);
  expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  await expect(redeem(shown, tickets, now)).rejects.toMatchObject({ reason: 'Unauthorized' });
});

test.each([
  ['no ticket at all', undefined],
  ['a bearer token', 'Bearer abc'],
  [
    'another secret',
    formatTicket({ namespace: 'shop', name: 'web-abcde', secret: 'guess!'.replace('!', '_').padEnd(43, '-') }),
  ],
  ['a ticket of another namespace', formatTicket({ namespace: 'bank', name: 'web-abcde', secret })],
])('%s opens nothing, and the real one is still good', async (_what, header) => {
  const tickets = new TicketsDouble();
  await expect(redeem(header, tickets, now)).rejects.toMatchObject({ reason: 'Unauthorized' });
  await expect(redeem(shown, tickets, now)).resolves.toMatchObject({ sessionName: 'web' });
});

test('one that is too old, or from the future, opens nothing', async () => {
  const late = now + ticketTtlMs + 1;
  await expect(redeem(shown, new TicketsDouble(), late)).rejects.toMatchObject({ reason: 'Unauthorized' });
  const early = now - ticketTtlMs - 2_000;
  await expect(redeem(shown, new TicketsDouble(), early)).rejects.toMatchObject({ reason: 'Unauthorized' });
});

test('an API server that cannot be asked allows nothing', async () => {
  const tickets = new TicketsDouble();
  tickets.fails = new Error('connection refused');
  await expect(redeem(shown, tickets, now)).rejects.toMatchObject({ reason: 'Unavailable' });
});
