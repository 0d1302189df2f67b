import { expect, test } from 'vitest';
import { Carried } from './carried.ts';

const rest = (carried: Carried): string => Buffer.concat(carried.unconfirmed).toString();

test('what is confirmed is not sent again, what is not is', () => {
  const carried = new Carried();
  carried.confirm({ input: 0 }, true);
  carried.sent(Buffer.from('abc'));
  carried.sent(Buffer.from('def'));
  carried.confirm({ input: 4 });
  carried.confirm({ input: 4 }, true);
  expect(rest(carried)).toBe('ef');
});

test('what another agent does not count, because it was dropped while others typed, is not sent again and counts from there', () => {
  const carried = new Carried();
  carried.confirm({ input: 0 }, true);
  carried.sent(Buffer.from('typed, and then dropped'));
  carried.confirm({ input: 23 });
  // Five of them reached the command; the next agent knows of these only.
  carried.confirm({ input: 5 }, true);
  carried.sent(Buffer.from('more'));
  carried.confirm({ input: 8 });
  expect(rest(carried)).toBe('e');
  carried.confirm({ input: 8 }, true);
  expect(rest(carried)).toBe('e');
});

test('after the session has forgotten us, confirmations count from nothing', () => {
  const carried = new Carried();
  carried.confirm({ input: 0 }, true);
  carried.sent(Buffer.from('before'));
  carried.confirm({ input: 6 });
  carried.confirm({ input: null }, true);
  carried.sent(Buffer.from('after'));
  carried.confirm({ input: 5 });
  expect(rest(carried)).toBe('');
});
