import { expect, test } from 'vitest';
import { formatTicket, parseTicket } from './ticket.ts';

const ticket = { namespace: 'shop', name: 'web-0-abcde', secret: 'A-_'.padEnd(43, 'z') };

test('what one end writes the other reads', () => {
  expect(parseTicket(formatTicket(ticket))).toEqual(ticket);
});

test.each([
  [undefined],
  [''],
  ['Bearer abc'],
  [formatTicket({ ...ticket, namespace: '../kube-system' })],
  [formatTicket({ ...ticket, name: 'a/b' })],
  [formatTicket({ ...ticket, secret: 'short' })],
  [`${formatTicket(ticket)} `],
  [formatTicket({ ...ticket, namespace: 'x'.repeat(64) })],
])('%j is no ticket', (header) => {
  expect(parseTicket(header)).toBeUndefined();
});
