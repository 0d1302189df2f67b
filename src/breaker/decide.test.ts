import { expect, test } from 'vitest';
import { type Decision, decide, type Sight } from './decide.ts';

const calm: Sight = {
  apiService: { unavailableForMs: 0 },
  withdrawn: false,
  backendAnswers: true,
  withdrawnForMs: 0,
  withdrawals: 0,
};

test.each<[string, Partial<Sight>, Decision]>([
  ['an API that answers is left alone', {}, 'wait'],
  ['one that has not answered for a while is waited for', { apiService: { unavailableForMs: 89_999 } }, 'wait'],
  ['one that has not answered for too long is withdrawn', { apiService: { unavailableForMs: 90_000 } }, 'withdraw'],
  ['so it is while we ourselves get answers: a firewall', { apiService: { unavailableForMs: 99_000 } }, 'withdraw'],
  ['one that somebody else removed is not ours to restore', { apiService: 'absent' }, 'wait'],
  ['ours comes back once its backend answers', { apiService: 'absent', withdrawn: true, withdrawals: 1 }, 'restore'],
  ['and not before', { apiService: 'absent', withdrawn: true, withdrawals: 1, backendAnswers: false }, 'wait'],
  ['one that was put back by others is forgotten', { withdrawn: true, withdrawals: 1 }, 'forget'],
  [
    'one that failed again at once is given time',
    { apiService: 'absent', withdrawn: true, withdrawals: 2, withdrawnForMs: 59_999 },
    'wait',
  ],
  [
    'a minute the second time',
    { apiService: 'absent', withdrawn: true, withdrawals: 2, withdrawnForMs: 60_000 },
    'restore',
  ],
  [
    'four minutes the fourth',
    { apiService: 'absent', withdrawn: true, withdrawals: 4, withdrawnForMs: 239_999 },
    'wait',
  ],
  ['an hour at most', { apiService: 'absent', withdrawn: true, withdrawals: 99, withdrawnForMs: 3_600_000 }, 'restore'],
])('%s', (_, sight, decision) => {
  expect(decide({ ...calm, ...sight }, 90_000)).toBe(decision);
});
