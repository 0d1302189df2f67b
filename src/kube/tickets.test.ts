import { expect, test } from 'vitest';
import { ticketTtlMs } from '../api/debug-attachment.ts';
import type { KubeRequest } from './client.ts';
import { KubeError } from './kube-error.ts';
import { createTickets, sweepOnce } from './tickets.ts';

const now = Date.parse('2026-11-27T12:00:00Z');
const path = '/apis/crashcart.dev/v1alpha1/namespaces/shop/debugattachments';
const ticket = (name: string, ageMs: number) => ({
  metadata: { name, namespace: 'shop', uid: `uid-${name}`, creationTimestamp: new Date(now - ageMs).toISOString() },
  spec: {
    sessionName: 's',
    secretSHA256: '0'.repeat(64),
    requestedBy: { username: 'alice', uid: '', groups: ['devs'], extra: { scopes: ['a', 'b'] } },
  },
});

/** Answers in turn; a number is a refusal with that code. */
function client(...answers: readonly unknown[]) {
  const left = [...answers];
  const asked: KubeRequest[] = [];
  const request = async (one: KubeRequest): Promise<unknown> => {
    asked.push(one);
    const answer = left.shift();
    if (typeof answer === 'number') throw new KubeError(answer, 'no', 'refused');
    return answer;
  };
  return { asked, request };
}

test('a ticket with all that the API server knew of its creator; none is undefined', async () => {
  const found = await createTickets(client(ticket('t', 1_000))).get('shop', 't');
  expect(found).toMatchObject({
    uid: 'uid-t',
    createdAtMs: now - 1_000,
    requestedBy: { username: 'alice', groups: ['devs'], extra: { scopes: ['a', 'b'] } },
  });
  expect(found?.requestedBy).not.toHaveProperty('uid');
  expect(await createTickets(client(404)).get('shop', 't')).toBeUndefined();
  await expect(createTickets(client(500)).get('shop', 't')).rejects.toThrow();
});

test('taking one asks for this very object, and says whether it was there', async () => {
  const api = client({}, 404, 409, 500);
  const tickets = createTickets(api);
  const wanted = { namespace: 'shop', name: 't', uid: 'uid-t' };
  expect(await tickets.take(wanted)).toBe(true);
  expect(api.asked[0]).toMatchObject({
    method: 'DELETE',
    path: `${path}/t`,
    body: { preconditions: { uid: 'uid-t' } },
  });
  expect(await tickets.take(wanted)).toBe(false);
  expect(await tickets.take(wanted)).toBe(false);
  await expect(tickets.take(wanted)).rejects.toThrow();
});

test('a sweep takes away those that are too old, page by page, and leaves the others', async () => {
  const old = 2 * ticketTtlMs + 1_000;
  const first = { items: [ticket('old', old), ticket('new', 1_000)], metadata: { continue: 'more' } };
  const second = { items: [ticket('older', 2 * old)], metadata: {} };
  const api = client(first, {}, second, {});
  expect(await sweepOnce(api, now)).toBe(2);
  const deleted = api.asked.filter(({ method }) => method === 'DELETE').map(({ path }) => path);
  expect(deleted).toEqual([`${path}/old`, `${path}/older`]);
  expect(api.asked[2]?.query).toMatchObject({ continue: 'more' });
});
