import { setTimeout as sleep } from 'node:timers/promises';
import { type DebugAttachment, parseDebugAttachment, ticketTtlMs } from '../api/debug-attachment.ts';
import { apiVersion, attachmentPlural } from '../api/names.ts';
import { describe } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { KubeClient } from './client.ts';
import { isCode } from './kube-error.ts';
import { resourcePath } from './paths.ts';

type Requests = Pick<KubeClient, 'request'>;
type Ticket = Pick<DebugAttachment, 'namespace' | 'name' | 'uid'>;

export interface Tickets {
  /** Undefined: there is none. @throws KubeError or CrashcartError when the API server cannot be asked, ParseError */
  get(namespace: string, name: string): Promise<DebugAttachment | undefined>;
  /** Whether it was this call that took it away. */
  take(ticket: Ticket): Promise<boolean>;
}

const timeoutMs = 5_000;
const sweepEveryMs = 60_000;
/** Of one sweep; the next one goes on with what is left. */
const pageSize = 500;

export function createTickets(client: Requests): Tickets {
  return {
    async get(namespace, name) {
      const path = resourcePath(apiVersion, attachmentPlural, { namespace, name });
      try {
        return parseDebugAttachment(await client.request({ method: 'GET', path, timeoutMs }));
      } catch (caught) {
        if (isCode(caught, 404)) return undefined;
        throw caught;
      }
    },
    async take({ namespace, name, uid }) {
      const path = resourcePath(apiVersion, attachmentPlural, { namespace, name });
      try {
        // Not sent again by itself: the second answer would say that another has taken it.
        await client.request({ method: 'DELETE', path, timeoutMs, body: { preconditions: { uid } } });
        return true;
      } catch (caught) {
        if (isCode(caught, 404) || isCode(caught, 409)) return false;
        throw caught;
      }
    },
  };
}

/** The leader's part: takes away the tickets that nobody has used. */
export async function sweepTickets(client: Requests, log: Logger, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const taken = await sweepOnce(client, Date.now());
      if (taken > 0) log.debug('tickets that nobody used are gone', { count: taken });
    } catch (caught) {
      log.warn('tickets not swept, trying again', { error: describe(caught) });
    }
    await sleep(sweepEveryMs, undefined, { signal }).catch(() => {});
  }
}

/** How many were taken away. Twice their time, so that a gateway whose clock is behind does not find them gone. */
export async function sweepOnce(client: Requests, now: number): Promise<number> {
  const tickets = createTickets(client);
  let taken = 0;
  for (let next = ''; ; ) {
    const query = { limit: pageSize, ...(next === '' ? {} : { continue: next }) };
    const page = (await client.request({
      method: 'GET',
      path: resourcePath(apiVersion, attachmentPlural),
      query,
    })) as Page;
    for (const { metadata } of page.items ?? []) {
      if (Date.parse(metadata.creationTimestamp) > now - 2 * ticketTtlMs) continue;
      if (await tickets.take(metadata)) taken += 1;
    }
    next = page.metadata?.continue ?? '';
    if (next === '') return taken;
  }
}

interface Page {
  readonly items?: readonly { readonly metadata: Ticket & { readonly creationTimestamp: string } }[];
  readonly metadata?: { readonly continue?: string };
}
